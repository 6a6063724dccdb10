"""Connections to one server that stay open between requests."""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp

from workbench import __version__
from workbench.core import ConfigError

KEEP_ALIVE_S = 4.0
"""Idle connections are closed before the server does it (uvicorn and Node: after 5 s): a request sent into a closing one is lost."""


def http_session(
    address: str, key: str | None, proxy: str | None
) -> AbstractAsyncContextManager[aiohttp.ClientSession]:
    """A session for requests to one address: as many connections as there are requests at a time, Nagle's algorithm off, no cookies.

    Certificates are verified against the machine's authorities and certifi's where that is installed. ~/.netrc is not read.

    Args:
        address: the server's URL; decides about TLS.
        key: sent as `Authorization: Bearer …`; None sends nothing.
        proxy: as `proxy_of` finds it.
    """
    headers = {"Content-Type": "application/json", "User-Agent": f"llm-workbench/{__version__}"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    secure = address.startswith("https:")
    connector = aiohttp.TCPConnector(
        limit=0, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=60, ssl=_trusted() if secure else True
    )
    return aiohttp.ClientSession(connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), proxy=proxy)


def proxy_of(address: str) -> str | None:
    """The proxy that the environment names for an address (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, less NO_PROXY); None: no proxy.

    Raises:
        ConfigError: it is neither an http nor an https proxy.
    """
    parts, proxies = urlsplit(address), getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(parts.netloc.rpartition("@")[2], proxies):
        return None
    scheme = urlsplit(proxy).scheme
    if scheme not in ("http", "https"):
        raise ConfigError(
            f"the environment names a {scheme or 'nameless'} proxy for {parts.scheme} addresses, http:// and https:// are allowed; "
            f"change {parts.scheme.upper()}_PROXY or name the server in NO_PROXY"
        )
    return proxy


def _trusted() -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        import certifi
    except ModuleNotFoundError:
        return context
    context.load_verify_locations(certifi.where())
    return context
