"""Rooms that the jailer makes, for a platform that is not root: asked for over a socket, driven from here.

The connection is the room's lease: when this process ends, however it ends, the jailer ends the room.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sandbox.workspaces.clean_room.box import RoomJob
from sandbox.workspaces.clean_room.specs import RoomSpecs
from sandbox.workspaces.clean_room.verbs import Ended, EndRoom, Opened, OpenRoom, Refused, Said, Settled
from sandbox.workspaces.jails.jail import JailFailed

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 60.0
_DECODER: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)


@dataclass(slots=True)
class JailerRoom:
    """A room of the jailer, for as long as `connection` lives."""

    job: RoomJob
    connection: socket.socket
    _box: Path | None = None
    _code: int | None = None
    _settled: bool = False
    _read: bytes = b""
    _turn: threading.RLock = field(default_factory=threading.RLock)

    @property
    def box(self) -> Path:
        """The folder that holds `sockets` and `outbox`; raises JailFailed before the room has started."""
        if self._box is None:
            raise JailFailed(f"the room {self.job.name} has not started")
        return self._box

    def start(self, key: bytes) -> None:
        """Start the kernel, which speaks to the holder of `key`; raises JailFailed with the reason."""
        with self._turn:
            self._send(OpenRoom(self.job.name, key.decode("ascii")))
            said = self._hear()
            if not isinstance(said, Opened):
                raise JailFailed(said.message if isinstance(said, Refused) else "the jailer opened no room")
            self._box = Path(said.box)

    def exit_code(self) -> int | None:
        """Return None while the kernel's jail lives, else its exit code; a jailer that is gone took the room along."""
        with self._turn:
            while self._code is None and not self._settled and select.select([self.connection], [], [], 0)[0]:
                try:
                    said = self._hear()
                except JailFailed:
                    self._code = 0
                else:
                    self._code = said.code if isinstance(said, Ended) else 0
            return 0 if self._settled else self._code

    def kill(self) -> None:
        """End everything in the room; raises JailFailed where the jailer does not say that it has."""
        with self._turn:
            if self._settled or self._box is None:
                return
            self._send(EndRoom())
            while not self._settled:
                self._settled = isinstance(self._hear(), Settled)

    def _send(self, asked: OpenRoom | EndRoom) -> None:
        try:
            self.connection.sendall(msgspec.json.encode(asked) + b"\n")
        except OSError as error:
            raise JailFailed(f"the jailer does not answer for {self.job.name}: {error.strerror}") from error

    def _hear(self) -> Said:
        while b"\n" not in self._read:
            try:
                piece = self.connection.recv(4096)
            except OSError as error:
                raise JailFailed(f"the jailer does not answer for {self.job.name}: {error}") from error
            if not piece:
                raise JailFailed(f"the jailer has let go of {self.job.name}")
            self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        return _DECODER.decode(line)


class JailerRooms:
    """Rooms of the jailer that answers at `path`; `specs` is where it looks them up."""

    def __init__(self, path: Path, specs: RoomSpecs) -> None:
        self._path = path
        self._specs = specs

    @contextlib.contextmanager
    def open(self, job: RoomJob) -> Iterator[JailerRoom]:
        """Give the room of `job`; nothing of it is left after the block. Raises JailFailed where no jailer answers."""
        self._specs.write(job)
        try:
            with self._connect() as connection:
                try:
                    yield JailerRoom(job, connection)
                finally:
                    _let_go(connection)
        finally:
            self._specs.remove(job.name)

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(_ANSWER_SECONDS)
            try:
                connection.connect(str(self._path))
            except OSError as error:
                connection.close()
                if time.monotonic() > deadline:
                    raise JailFailed(f"no jailer answers: {error.strerror}") from error
                time.sleep(0.05)
            else:
                return connection


def _let_go(connection: socket.socket) -> None:
    """Return once the jailer has taken the room away and closed its end, or has not done so in time."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            continue
