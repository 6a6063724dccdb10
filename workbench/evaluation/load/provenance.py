"""What a load was measured on: card, prompts, machine, versions, and what the server says of itself."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Mapping
from typing import Any

from workbench import __version__
from workbench.core import Clock
from workbench.core.environment import git_commit, hardware, versions
from workbench.core.validation import SECRET
from workbench.evaluation.load.asking import Asking
from workbench.evaluation.load.config import BenchConfig
from workbench.evaluation.load.search import RateSearch
from workbench.evaluation.recording import describe_card
from workbench.models import Model

SCHEMA_VERSION = 1
VERSION_TIMEOUT_S = 10.0
USER_INFO = re.compile(r"//[^/@\s]+@")


def provenance(
    model: Model, asking: Asking, config: BenchConfig, search: RateSearch | None, clock: Clock
) -> dict[str, Any]:
    """The manifest of a run that begins now; `ended_at` and the stages are added when it ends."""
    return {
        "schema_version": SCHEMA_VERSION,
        "source": "measured",
        "model": model.name,
        **without_secrets(describe_card(model.card)),
        "prompts": asking.facts(),
        "config": config.to_dict(),
        "search": None if search is None else {name: getattr(search, name) for name in search.__slots__},
        "seed": config.seed,
        "server": served_by(model),
        "hardware": hardware(),
        "versions": versions(),
        "package_version": __version__,
        "git_commit": git_commit(),
        "started_at": clock.now().isoformat(),
    }


def served_by(model: Model) -> dict[str, Any]:
    """Address and version of the model's server; null, with the reason, where there is none or it does not say."""
    server = getattr(model, "server", None)
    url = getattr(server, "url", None) or model.card.base_url
    if not url:
        return {"url": None, "version": None, "because": "the model answers in this process"}
    version = _version(str(url))
    because = {} if version else {"because": "the server has no /version, or none that can be read"}
    return {"url": USER_INFO.sub("//[hidden]@", str(url)), "version": version, **because}


def without_secrets(value: Any) -> Any:
    """The value with what stands under a secret's name, and credentials inside an address, hidden; references (env:NAME) are kept.

    Example:
        >>> without_secrets({"base_url": "http://me:pw@host/v1", "options": {"headers": {"x-api-key": "s3"}}, "api_key": "env:KEY"})
        {'base_url': 'http://[hidden]@host/v1', 'options': {'headers': {'x-api-key': '[hidden]'}}, 'api_key': 'env:KEY'}
    """
    if isinstance(value, Mapping):
        return {key: _hidden(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return USER_INFO.sub("//[hidden]@", value) if isinstance(value, str) else value


def _hidden(key: Any, value: Any) -> Any:
    if isinstance(value, str) and SECRET.search(str(key)) and not value.startswith("env:"):
        return "[hidden]"
    return without_secrets(value)


def _version(url: str) -> str | None:
    """What `GET /version` beside /v1 says (vLLM, Ollama under /api); None where it says nothing."""
    root = url.rstrip("/").removesuffix("/v1")
    for path in ("/version", "/api/version"):
        try:
            with urllib.request.urlopen(root + path, timeout=VERSION_TIMEOUT_S) as answer:
                found = json.load(answer)["version"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return str(found)
    return None
