"""The jailer's side of clean rooms: a socket on which the platform opens rooms and drives them until it lets go.

A room lives as long as its connection: when the process that asked for it ends, however it ends, the kernel closes the
connection, and the room with everything in it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sandbox.workspaces.clean_room.box import LocalRoom, LocalRooms
from sandbox.workspaces.clean_room.specs import RoomSpecs, specs_of
from sandbox.workspaces.clean_room.verbs import (
    MOST_LINE_BYTES,
    ROOMS_FOLDER,
    Ended,
    EndRoom,
    Opened,
    OpenRoom,
    Refused,
    Said,
    Settled,
)
from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.host.line_socket import peer_uid
from sandbox.workspaces.jails.jail import JailFailed
from sandbox.workspaces.records.hub_settings import HubSettings
from sandbox.workspaces.records.runtime import give_socket
from sandbox.workspaces.records.specs import WorkspaceRefused

log = logging.getLogger(__name__)

MOST_ROOMS = 8
LEASE_SECONDS = 2 * 3600.0
"""The longest that a room may stay open, whatever its driver does; a run's own limits are much shorter."""

_ASK_SECONDS = 10.0
_LOOK_SECONDS = 0.05


@dataclass(slots=True)
class RoomDoor:
    """Opens rooms of one installation for the users `peers`, each for as long as its connection lives."""

    rooms: LocalRooms
    specs: RoomSpecs
    peers: frozenset[int]
    lease: float = LEASE_SECONDS
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2 * MOST_ROOMS, "rooms"))
    _serving: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def open(self, path: Path, owner: int) -> None:
        """Answer at `path` from now on, and take away what a killed jailer left of its rooms."""
        await self._run(self.rooms.sweep)
        await self._run(path.unlink, True)
        self._server = await asyncio.start_unix_server(self._welcome, str(path), limit=MOST_LINE_BYTES)
        give_socket(path, owner)

    async def close(self) -> None:
        """Answer no more, and end every room."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        # Not before every room is closed: a jail ends with the thread that started it.
        self._pool.shutdown(wait=False)

    async def _run(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
            if uid not in self.peers:
                log.warning("the rooms refuse the user %s", uid)
            elif len(self._serving) > MOST_ROOMS:
                await _say(writer, Refused(f"{MOST_ROOMS} rooms are open: try again later"))
            else:
                async with asyncio.timeout(self.lease):
                    await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return
        except Exception:  # The boundary of one connection: the others go on.
            log.exception("a room could not be kept")
        finally:
            self._serving.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_ASK_SECONDS):
            asked = msgspec.json.decode(await reader.readuntil(b"\n"), type=OpenRoom)
        try:
            opening = self.rooms.open(self.specs.load(asked.room))
            room = await self._run(opening.__enter__)
        except (WorkspaceRefused, JailFailed, OSError) as error:
            await _say(writer, Refused(str(error)))
            return
        try:
            await self._keep(room, asked.key.encode(), reader, writer)
        finally:
            # Shielded: a room is taken away to the end, also when the jailer is told to end meanwhile.
            await asyncio.shield(self._run(opening.__exit__, None, None, None))

    async def _keep(
        self, room: LocalRoom, key: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await self._run(room.start, key)
        except JailFailed as error:
            await _say(writer, Refused(str(error)))
            return
        await _say(writer, Opened(str(room.box)))
        looking = asyncio.create_task(self._tell_end(room, writer))
        try:
            line = await reader.readuntil(b"\n")
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            msgspec.json.decode(line, type=EndRoom)
            await self._run(room.kill)
            await _say(writer, Settled())
            await reader.read(1)  # Nothing more is said: the other side reads the outbox, and lets go.
        finally:
            looking.cancel()

    async def _tell_end(self, room: LocalRoom, writer: asyncio.StreamWriter) -> None:
        while (code := room.exit_code()) is None:  # noqa: ASYNC110 - a process's end, asked for
            await asyncio.sleep(_LOOK_SECONDS)
        await _say(writer, Ended(code))


def make_door(settings: HubSettings, host: CgroupHost | None = None) -> RoomDoor:
    """Return the door of an installation: rooms lie beside the sockets, specifications among the workspaces'."""
    rooms = LocalRooms(
        settings.environment, settings.runtime / ROOMS_FOLDER, host, installation=name_of(settings.runtime),
        reader=settings.service_uid,
    )  # fmt: skip
    asking = {0, os.geteuid()} | ({settings.service_uid} if settings.service_uid is not None else set())
    return RoomDoor(rooms, specs_of(settings), frozenset(asking))


def name_of(runtime: Path) -> str:
    """Return what an installation's rooms are named after: a starting jailer sweeps all of its own, no other's."""
    return hashlib.sha256(os.fsencode(runtime)).hexdigest()[:8]


async def _say(writer: asyncio.StreamWriter, said: Said) -> None:
    writer.write(msgspec.json.encode(said) + b"\n")
    with contextlib.suppress(ConnectionError):
        await writer.drain()
