"""How the platform asks the jailer: a client that waits, and one for asyncio. Both speak the verbs of `jailer_verbs`.

A jailer that is being started again is waited for. Refusals come back as the errors that they were over there.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import time
from pathlib import Path
from typing import Any

import msgspec

from sandbox.workspaces.jailer.verbs import Account, Describe, Destroy, Measure, Poll, Prepare, Read, Start, Stop, Verb
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound, ShuzhaError, Unavailable

WAIT_SECONDS = 10.0
ANSWER_SECONDS = 120.0
_STEP_SECONDS = 0.05
_MOST_ANSWER_BYTES = 64 * 1024**2
_ERRORS = {kind.code: kind for kind in (Conflict, Invalid, NotAllowed, NotFound, Unavailable)}


class JailerClient:
    """Asks the jailer at `path`; raises Unavailable when none answers within `wait` seconds."""

    def __init__(self, path: Path, *, wait: float = WAIT_SECONDS) -> None:
        self._path = path
        self._wait = wait

    def prepare(self, workspace: str) -> None:
        """Have home and folders of sockets made."""
        self.ask(Prepare(workspace))

    def start(self, workspace: str, account: str, variables: dict[str, str]) -> None:
        """Have the workspace's server started for `account`."""
        self.ask(Start(workspace, account, variables))

    def poll(self, workspace: str) -> int | None:
        """Return None while the workspace's server lives, else its exit code."""
        code = self.ask(Poll(workspace))
        return None if code is None else int(code)

    def stop(self, workspace: str, grace: float = 2.0) -> None:
        """Have the workspace's server and kernels ended."""
        self.ask(Stop(workspace, grace))

    def read_notebook(self, workspace: str, name: str) -> bytes:
        """Return the notebook as it is saved now."""
        return base64.b64decode(self.ask(Read(workspace, name)))

    def destroy(self, workspace: str) -> dict[str, Any]:
        """Have the workspace's home destroyed, and return how many `bytes` it held and the `method`."""
        done: dict[str, Any] = self.ask(Destroy(workspace))
        return done

    def measure(self, workspace: str) -> dict[str, dict[str, Any]]:
        """Return, for `server` and `kernels`, memory in bytes, processor time in nanoseconds and processes."""
        figures: dict[str, dict[str, Any]] = self.ask(Measure(workspace))
        return figures

    def account(self, workspace: str) -> dict[str, Any]:
        """Return the workspace's totals, its disk, its groups and its limits, as `Books.say` gives them."""
        told: dict[str, Any] = self.ask(Account(workspace))
        return told

    def describe(self) -> dict[str, list[str]]:
        """Return, in sentences, what the host holds workspaces to (`holds`), and what it cannot (`cannot`)."""
        told: dict[str, list[str]] = self.ask(Describe())
        return told

    def is_up(self) -> bool:
        """Return whether a jailer listens."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._path)) == 0

    def ask(self, call: Verb) -> Any:
        """Return the result of any verb; raises the ShuzhaError with which it was refused."""
        with self._connect() as connection, connection.makefile("rb") as answers:
            try:
                connection.sendall(msgspec.json.encode(call) + b"\n")
                return read_answer(answers.readline())
            except OSError as error:
                raise _silent(error) from error

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + self._wait
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(ANSWER_SECONDS)
            try:
                connection.connect(str(self._path))
            except OSError as error:
                connection.close()
                if time.monotonic() > deadline:
                    raise _silent(error) from error
                time.sleep(_STEP_SECONDS)
            else:
                return connection


class AsyncJailerClient:
    """Asks the jailer at `path` from asyncio; raises Unavailable when none answers within `wait` seconds."""

    def __init__(self, path: Path, *, wait: float = WAIT_SECONDS) -> None:
        self._path = path
        self._wait = wait

    async def prepare(self, workspace: str) -> None:
        """Have home and folders of sockets made."""
        await self.ask(Prepare(workspace))

    async def start(self, workspace: str, account: str, variables: dict[str, str]) -> None:
        """Have the workspace's server started for `account`."""
        await self.ask(Start(workspace, account, variables))

    async def poll(self, workspace: str) -> int | None:
        """Return None while the workspace's server lives, else its exit code."""
        code = await self.ask(Poll(workspace))
        return None if code is None else int(code)

    async def stop(self, workspace: str, grace: float = 2.0) -> None:
        """Have the workspace's server and kernels ended."""
        await self.ask(Stop(workspace, grace))

    async def ask(self, call: Verb) -> Any:
        """Return the result of any verb; raises the ShuzhaError with which it was refused."""
        reader, writer = await self._connect()
        try:
            writer.write(msgspec.json.encode(call) + b"\n")
            async with asyncio.timeout(ANSWER_SECONDS):
                return read_answer(await reader.readline())
        except (OSError, TimeoutError) as error:
            raise _silent(error) from error
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        deadline = time.monotonic() + self._wait
        while True:
            try:
                return await asyncio.open_unix_connection(str(self._path), limit=_MOST_ANSWER_BYTES)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise _silent(error) from error
                await asyncio.sleep(_STEP_SECONDS)


def read_answer(line: bytes) -> Any:
    """Return the result in an answer's line; raise the error in it, or Unavailable where there is none."""
    if not line.endswith(b"\n"):
        raise Unavailable("the jailer did not answer", rule="jailer")
    answer = msgspec.json.decode(line)
    if answer["ok"]:
        return answer["result"]
    error = answer["error"]
    kind: type[ShuzhaError] = _ERRORS.get(error["code"], Unavailable)
    raise kind(error["message"], rule=error.get("rule"), accepted=error.get("accepted"))


def _silent(error: BaseException) -> Unavailable:
    return Unavailable(f"the jailer does not answer: {type(error).__name__}", rule="jailer")
