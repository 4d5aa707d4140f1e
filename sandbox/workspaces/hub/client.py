"""The hub's REST API as the platform uses it: make sure of a user, start, watch and stop a workspace's server."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

_STEP_SECONDS = 0.1


class HubUnavailable(RuntimeError):
    """The hub did not answer, or answered that it is not able to."""


class HubRefused(RuntimeError):
    """The hub refused; the message is the hub's or the spawner's own reason."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """One workspace's server as the hub sees it.

    `started` and `active` are when it began and when it was last asked for something, in seconds since 1970; None where
    the hub does not know.
    """

    name: str
    ready: bool
    pending: str | None
    url: str
    started: float | None = None
    active: float | None = None


class HubClient:
    """Asks a hub on its unix socket (or an http URL) with the platform's service token."""

    def __init__(self, token: str, *, socket: Path | None = None, url: str = "http://localhost") -> None:
        transport = None if socket is None else httpx.HTTPTransport(uds=str(socket))
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/hub/api", transport=transport, timeout=30.0, trust_env=False,
            headers={"Authorization": f"token {token}"},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def is_up(self) -> bool:
        """Return whether the hub answers."""
        try:
            return self._http.get("/").status_code == 200
        except httpx.HTTPError:
            return False

    def ensure_user(self, account: str) -> None:
        """Make the hub know `account`; a user that it knows stays as it is."""
        self._ask("POST", f"/users/{quote(account)}", accept={201, 409})

    def start_server(self, account: str, workspace: str) -> None:
        """Ask for the server of a workspace; it is on its way when this returns. Raises HubRefused with the reason."""
        self._ask("POST", f"/users/{quote(account)}/servers/{quote(workspace)}", accept={201, 202}, already=True)

    def stop_server(self, account: str, workspace: str) -> None:
        """Ask to end the server of a workspace; one that is not running is fine."""
        self._ask("DELETE", f"/users/{quote(account)}/servers/{quote(workspace)}", accept={202, 204, 404}, already=True)

    def list_servers(self, account: str) -> tuple[ServerState, ...]:
        """Return the servers of `account` that run or are on their way; empty for a user the hub does not know."""
        answer = self._ask("GET", f"/users/{quote(account)}", accept={200, 404})
        servers: dict[str, dict[str, Any]] = answer.get("servers") or {}
        return tuple(
            ServerState(
                name, bool(said["ready"]), said.get("pending"), said.get("url", ""), _moment(said.get("started")),
                _moment(said.get("last_activity")),
            )
            for name, said in servers.items()
        )  # fmt: skip

    def find_server(self, account: str, workspace: str) -> ServerState | None:
        """Return the state of one workspace's server, None when it neither runs nor starts."""
        return next((server for server in self.list_servers(account) if server.name == workspace), None)

    def wait_ready(self, account: str, workspace: str, timeout: float = 60.0) -> ServerState:
        """Return the server once it is ready; raises HubRefused when it failed, HubUnavailable when time is up."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            server = self.find_server(account, workspace)
            if server is not None and server.ready:
                return server
            if server is None or server.pending is None:
                raise HubRefused(f"workspace {workspace} did not start: see the log of its server")
            time.sleep(_STEP_SECONDS)
        raise HubUnavailable(f"workspace {workspace} was not ready within {timeout:.0f} seconds")

    def wait_stopped(self, account: str, workspace: str, timeout: float = 30.0) -> None:
        """Return once the hub says that the server is gone; raises HubUnavailable when time is up."""
        deadline = time.monotonic() + timeout
        while self.find_server(account, workspace) is not None:
            if time.monotonic() > deadline:
                raise HubUnavailable(f"workspace {workspace} did not stop within {timeout:.0f} seconds")
            time.sleep(_STEP_SECONDS)

    def _ask(self, method: str, path: str, *, accept: set[int], already: bool = False) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path)
        except httpx.HTTPError as error:
            raise HubUnavailable(f"the hub does not answer: {type(error).__name__}") from error
        if answer.status_code in accept:
            return answer.json() if answer.content else {}
        message = _message(answer)
        if already and answer.status_code == 400 and ("already running" in message or "pending" in message):
            return {}
        if answer.status_code >= 500 and not message:
            raise HubUnavailable(f"the hub answered {answer.status_code}")
        raise HubRefused(message or f"the hub answered {answer.status_code}")


def _moment(text: str | None) -> float | None:
    try:
        return None if text is None else dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message") or "")
    except ValueError:
        return ""
