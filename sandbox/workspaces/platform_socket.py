"""The platform socket: how a notebook asks the platform, with typed verbs and nothing else.

One unix socket a workspace; who asks is known by which socket was asked, so no token is needed and none can be stolen.
A request is one line of JSON, its answer another:

    {"verb": "submit", "notebook": "insurance.ipynb", "outputs": [...], "context": "..."}
    {"ok": true, "result": {...}}    or    {"ok": false, "error": {"code": ..., "message": ..., "accepted": ...}}

A line that cannot be read gets a typed error and the connection lives on; a line above the cap ends it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec

from sandbox.workspaces.host.line_socket import LineRules, LineServer, SocketUse
from sandbox.workspaces.records.runtime import give_socket, runtime_paths

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 8
AT_ONCE, THREADS = 2, 16
"""Verbs that are worked on at the same time: of one workspace, and of all. One that asks much waits for itself."""
_CALL_SECONDS = 120.0
_ACCEPTED = "datasets, status, budget, dp, check, submit, require"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]
Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Datasets(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="datasets"):
    """Which releases are granted to this workspace."""


class Status(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="status"):
    """How the workspace and its export requests stand."""


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="budget"):
    """What is left of term, screen budget and privacy budget."""


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="check"):
    """What the airlock's automatic checks would say of a specification."""

    specification: dict[str, Any]


class Submit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="submit"):
    """Ask for the export of a notebook's outputs.

    `outputs` are the names that the person means to export, each with the SHA-256 of what his session declared by it.
    """

    notebook: Name
    outputs: Annotated[dict[Name, Digest], msgspec.Meta(max_length=64)] = {}
    context: Text = ""


class Dp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="dp"):
    """A differentially private answer over the granted entry, paid for from its privacy budget."""

    entry: Name
    query: dict[str, Any]


class Require(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="require"):
    """Ask the provider of the granted entry to mend it; the words are few, for they leave the workspace."""

    lack: Name
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    columns: Annotated[list[Name], msgspec.Meta(max_length=50)] = []


Call = Datasets | Status | Budget | Check | Submit | Dp | Require


class Verbs(Protocol):
    """What the platform does for a workspace; each verb may raise a `ShuzhaError`, whose message the notebook gets."""

    def datasets(self, workspace: str) -> list[dict[str, Any]]:
        """Return name, title, rows and columns of each granted release."""
        ...

    def status(self, workspace: str) -> dict[str, Any]:
        """Return how the workspace and its export requests stand."""
        ...

    def budget(self, workspace: str) -> dict[str, Any]:
        """Return what is left of the term and the budgets."""
        ...

    def dp(self, workspace: str, entry: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return the noisy figures of `query` with their intervals, its cost, and what is left."""
        ...

    def check(self, workspace: str, specification: dict[str, Any]) -> dict[str, Any]:
        """Return the findings that an export of `specification` would meet."""
        ...

    def submit(self, workspace: str, notebook: str, outputs: dict[str, str], context: str) -> dict[str, Any]:
        """Open an export request for the saved notebook and return its id and state."""
        ...

    def require(self, workspace: str, lack: str, text: str, columns: list[str]) -> dict[str, Any]:
        """Raise a governance requirement on the workspace's entry and return its id, state and due day."""
        ...


class PlatformSockets:
    """The sockets of all open workspaces, served by the process that holds the platform's services."""

    def __init__(self, runtime: Path, verbs: Verbs) -> None:
        self._runtime = runtime
        self._verbs = verbs
        self._servers: dict[str, LineServer[Call]] = {}
        # Threads of their own: the process that holds this has clocks to keep, suspensions and expiry among them.
        self._pool = ThreadPoolExecutor(THREADS, "platform-sockets")
        self._decoder: msgspec.json.Decoder[Call] = msgspec.json.Decoder(Call)
        self.use: dict[str, SocketUse] = {}

    async def open(self, workspace: str, uid: int) -> None:
        """Answer `workspace` from now on, on a socket that only its own user can reach; an open one stays.

        Nothing is done before the jailer has made the workspace's folder: nobody can ask there yet.
        """
        paths = runtime_paths(self._runtime, workspace)
        if workspace in self._servers or not paths.platform.parent.is_dir():
            return

        turns = asyncio.Semaphore(AT_ONCE)

        async def answer(call: Call) -> Any:
            await turns.acquire()
            working = asyncio.get_running_loop().run_in_executor(self._pool, self._dispatch, workspace, call)
            # Given back when the thread is free, which may be long after nobody waits for the answer any more.
            working.add_done_callback(lambda _: turns.release())
            return await asyncio.shield(working)

        # Its mode keeps other users out; whom the kernel says the caller is keeps them out where the mode is wrong.
        peers = frozenset({uid, os.geteuid(), 0})
        rules = LineRules(most_connections=MOST_CONNECTIONS, call_seconds=_CALL_SECONDS, peers=peers)
        use = self.use.setdefault(workspace, SocketUse())
        server = LineServer(f"the platform socket of {workspace}", self._decoder, answer, _ACCEPTED, rules, use)
        await server.open(paths.platform)
        give_socket(paths.platform, uid)
        self._servers[workspace] = server

    async def close(self, workspace: str) -> None:
        """Answer `workspace` no more."""
        server = self._servers.pop(workspace, None)
        if server is not None:
            await server.close()

    async def follow(self, wanted: Callable[[], dict[str, int]], seconds: float = 0.5) -> None:
        """Keep the sockets equal to `wanted()` (workspace: uid) for ever; cancel it to close them all."""
        try:
            while True:
                try:
                    await self._bring_in_line(await asyncio.to_thread(wanted))
                except Exception:  # The boundary of this task: it is logged and tried again.
                    log.exception("the workspaces' sockets could not be brought in line; trying again")
                await asyncio.sleep(seconds)
        finally:
            for workspace in list(self._servers):
                await self.close(workspace)

    async def _bring_in_line(self, wanted: dict[str, int]) -> None:
        for workspace in set(self._servers) - set(wanted):
            await self.close(workspace)
        for workspace, uid in wanted.items():
            await self.open(workspace, uid)

    def _dispatch(self, workspace: str, call: Call) -> Any:
        match call:
            case Datasets():
                return self._verbs.datasets(workspace)
            case Status():
                return self._verbs.status(workspace)
            case Budget():
                return self._verbs.budget(workspace)
            case Dp(entry=entry, query=query):
                return self._verbs.dp(workspace, entry, query)
            case Check(specification=specification):
                return self._verbs.check(workspace, specification)
            case Submit(notebook=notebook, outputs=outputs, context=context):
                return self._verbs.submit(workspace, notebook, outputs, context)
            case Require(lack=lack, text=text, columns=columns):
                return self._verbs.require(workspace, lack, text, columns)
