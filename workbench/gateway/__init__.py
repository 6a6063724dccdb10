"""An OpenAI-compatible server around one stack. Names are imported on first use, because they bring the web framework."""

from typing import TYPE_CHECKING

from workbench.core.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.gateway.app import Gateway, GatewayConfig
    from workbench.gateway.server import bind, serve, url_of

_HOMES = {"Gateway": "app", "GatewayConfig": "app", "bind": "server", "serve": "server", "url_of": "server"}

__all__ = ["Gateway", "GatewayConfig", "bind", "serve", "url_of"]


__getattr__ = lazy_names(__name__, _HOMES)
