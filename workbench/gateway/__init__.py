"""An OpenAI-compatible server around one stack. Names are imported on first use, because they bring the web framework."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.gateway.app import Gateway, GatewayConfig
    from workbench.gateway.server import bind, serve, url_of

_HOMES = {"Gateway": "app", "GatewayConfig": "app", "bind": "server", "serve": "server", "url_of": "server"}

__all__ = ["Gateway", "GatewayConfig", "bind", "serve", "url_of"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
