"""The targets that a gate hands requests to: the hub's and the servers' addresses, TCP or unix socket."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp

_CONNECT_SECONDS = 30
_NOT_ADDED = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})


@dataclass(slots=True)
class Route:
    """One line of the proxy's table: a path prefix, the target's URL, what the hub said with it."""

    prefix: str
    target: str
    data: dict[str, Any] = field(default_factory=dict)
    last_activity: float = field(default_factory=time.time)

    def describe(self) -> dict[str, Any]:
        """Return the route as configurable-http-proxy's REST API shows it."""
        moment = datetime.fromtimestamp(self.last_activity, UTC).isoformat().replace("+00:00", "Z")
        return {**self.data, "target": self.target, "last_activity": moment}


class RouteTable:
    """Prefixes and their targets; the longest prefix that ends at a slash wins."""

    def __init__(self, default_target: str | None = None) -> None:
        self._routes: dict[str, Route] = {}
        if default_target:
            self.put("/", default_target, {})

    def put(self, prefix: str, target: str, data: dict[str, Any]) -> None:
        """Add the route or replace it. Raises ValueError for a target that is no http or http+unix URL."""
        if urlsplit(target).scheme not in {"http", "http+unix", "unix+http"}:
            raise ValueError("cannot add a route: the target must be an http:// or http+unix:// URL")
        prefix = _clean(prefix)
        self._routes[prefix] = Route(prefix, target, data)

    def drop(self, prefix: str) -> bool:
        """Take the route away and return whether there was one."""
        return self._routes.pop(_clean(prefix), None) is not None

    def find(self, path: str) -> Route | None:
        """Return the route for a request's path, None when there is not even a default."""
        candidate = _clean(path.split("?")[0])
        while True:
            if candidate in self._routes:
                return self._routes[candidate]
            if candidate == "/":
                return None
            candidate = candidate.rpartition("/")[0] or "/"

    def get(self, prefix: str) -> Route | None:
        """Return the route at exactly `prefix`."""
        return self._routes.get(_clean(prefix))

    def list_routes(self) -> dict[str, Route]:
        """Return all routes by prefix."""
        return dict(self._routes)


def _clean(prefix: str) -> str:
    # The hub names its routes in escaped or plain form, as the browser does: compare them unescaped.
    return "/" + unquote(prefix).strip("/")


class Clients:
    """One client session for each target, kept open; a unix target's session speaks to its socket."""

    def __init__(self) -> None:
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    def session(self, target: str) -> tuple[aiohttp.ClientSession, str]:
        """Return the session for `target` and the base URL to ask it with."""
        parts = urlsplit(target)
        unix = parts.scheme in {"http+unix", "unix+http"}
        key = parts.netloc
        if key not in self._sessions:
            connector: aiohttp.BaseConnector = (
                aiohttp.UnixConnector(unquote(parts.netloc), limit=0) if unix else aiohttp.TCPConnector(limit=0)
            )
            self._sessions[key] = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS), json_serialize=json.dumps,
                read_bufsize=2**18, max_line_size=65536, max_field_size=65536, skip_auto_headers=_NOT_ADDED,
            )  # fmt: skip
        return self._sessions[key], "http://localhost" if unix else f"http://{parts.netloc}"

    async def forget(self, target: str) -> None:
        """Close the session of a target whose route has gone."""
        session = self._sessions.pop(urlsplit(target).netloc, None)
        if session is not None:
            await session.close()

    async def close(self) -> None:
        """Close every session."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
