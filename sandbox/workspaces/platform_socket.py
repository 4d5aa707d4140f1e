"""The platform socket: how a notebook asks the platform, with typed verbs and nothing else.

One unix socket a workspace; who asks is known by which socket was asked, so no token is needed and none can be stolen.
A request is one line of JSON, its answer another:

    {"verb": "submit", "notebook": "insurance.ipynb", "outputs": [...], "context": "..."}
    {"ok": true, "result": {...}}    or    {"ok": false, "error": {"code": ..., "message": ..., "accepted": ...}}

A line that cannot be read gets a typed error and the connection lives on; a line above the cap ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec

from sandbox.workspaces.runtime import give_socket, runtime_paths
from shuzha.core.errors import ShuzhaError

log = logging.getLogger(__name__)

MOST_LINE_BYTES = 256 * 1024
MOST_CONNECTIONS = 8
_CALL_SECONDS = 120

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Text = Annotated[str, msgspec.Meta(max_length=2000)]


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
    """Ask for the export of a notebook's outputs; `outputs` are the names that the person means to export."""

    notebook: Name
    outputs: Annotated[list[Name], msgspec.Meta(max_length=64)] = []
    context: Text = ""


class Dp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="dp"):
    """A differentially private answer over the granted entry, paid for from its privacy budget."""

    entry: Name
    query: dict[str, Any]


Call = Datasets | Status | Budget | Check | Submit | Dp


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

    def submit(self, workspace: str, notebook: str, outputs: list[str], context: str) -> dict[str, Any]:
        """Open an export request for the saved notebook and return its id and state."""
        ...


@dataclass(slots=True)
class SocketUse:
    """How much one workspace has asked: calls, refused calls, bytes in and out."""

    calls: int = 0
    refused: int = 0
    received: int = 0
    answered: int = 0


class PlatformSockets:
    """The sockets of all open workspaces, served by the process that holds the platform's services."""

    def __init__(self, runtime: Path, verbs: Verbs) -> None:
        self._runtime = runtime
        self._verbs = verbs
        self._servers: dict[str, asyncio.Server] = {}
        self._open: dict[str, int] = {}
        self._decoder: msgspec.json.Decoder[Call] = msgspec.json.Decoder(Call)
        self.use: dict[str, SocketUse] = {}

    async def open(self, workspace: str, uid: int) -> None:
        """Answer `workspace` from now on, on a socket that only its own user can reach; an open one stays."""
        if workspace in self._servers:
            return
        paths = runtime_paths(self._runtime, workspace)
        paths.make()
        paths.platform.unlink(missing_ok=True)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(workspace, reader, writer)

        server = await asyncio.start_unix_server(serve, str(paths.platform), limit=MOST_LINE_BYTES)
        give_socket(paths.platform, uid)
        self._servers[workspace] = server

    async def close(self, workspace: str) -> None:
        """Answer `workspace` no more."""
        server = self._servers.pop(workspace, None)
        if server is not None:
            server.close()
            runtime_paths(self._runtime, workspace).platform.unlink(missing_ok=True)

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

    async def _serve(self, workspace: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        use = self.use.setdefault(workspace, SocketUse())
        self._open[workspace] = self._open.get(workspace, 0) + 1
        try:
            if self._open[workspace] > MOST_CONNECTIONS:
                await _write(writer, _refuse("too_many_connections", f"at most {MOST_CONNECTIONS} at once"), use)
                return
            while True:
                try:
                    line = await reader.readuntil(b"\n")
                except asyncio.IncompleteReadError:
                    return
                except asyncio.LimitOverrunError:
                    use.refused += 1
                    message = f"a request is one line of at most {MOST_LINE_BYTES} bytes"
                    await _write(writer, _refuse("too_large", message), use)
                    return
                use.received += len(line)
                await _write(writer, await self._answer(workspace, line, use), use)
        except ConnectionError:
            return
        finally:
            self._open[workspace] -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, workspace: str, line: bytes, use: SocketUse) -> dict[str, Any]:
        use.calls += 1
        try:
            call = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            use.refused += 1
            message = "cannot read the request: a JSON object with `verb` and that verb's own fields is accepted"
            return _refuse("malformed", message, accepted="datasets, status, budget, dp, check, submit")
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                result = await asyncio.to_thread(self._dispatch, workspace, call)
        except ShuzhaError as error:
            use.refused += 1
            return _refuse_error(error)
        except TimeoutError:
            use.refused += 1
            return _refuse("timeout", f"the platform did not answer within {_CALL_SECONDS} seconds")
        except Exception:
            # The boundary between somebody's notebook and our services: it learns nothing of a fault of ours.
            use.refused += 1
            log.exception("verb %s of workspace %s failed", type(call).__name__, workspace)
            return _refuse("unavailable", "the platform could not answer; try again later")
        return {"ok": True, "result": result}

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
                return self._verbs.submit(workspace, notebook, list(outputs), context)


async def _write(writer: asyncio.StreamWriter, answer: dict[str, Any], use: SocketUse) -> None:
    line = msgspec.json.encode(answer) + b"\n"
    use.answered += len(line)
    writer.write(line)
    await writer.drain()


def _refuse(code: str, message: str, *, accepted: str = "", rule: str = "") -> dict[str, Any]:
    error = {"code": code, "message": message, "rule": rule, "accepted": accepted}
    return {"ok": False, "error": {name: value for name, value in error.items() if value}}


def _refuse_error(error: ShuzhaError) -> dict[str, Any]:
    return _refuse(error.code, error.message, rule=error.rule or "", accepted=error.accepted or "")
