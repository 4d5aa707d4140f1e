"""The jailer: the one process of the platform that may need root. It runs the jails, and does nothing else.

    SHUZHA_HUB_CONFIG=hub.json python -m sandbox.workspaces.jailer

It answers the platform on RUNTIME/jailer.sock and each workspace's own server on RUNTIME/WORKSPACE/jailer/jailer.sock,
by the verbs of `jailer_verbs` alone. What a jail has comes from the workspace's specification, never from a request.
Jails outlive it: started again, it finds them by their marks and goes on. Started by a user who is not root, all jails
run as that user, and are held by marks where the host gives no control groups.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from sandbox.workspaces.clean_room.door import make_door
from sandbox.workspaces.clean_room.verbs import ROOMS_SOCKET
from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.host.line_socket import LineRules, LineServer
from sandbox.workspaces.jailer import verbs
from sandbox.workspaces.jailer.keeper import Keeper
from sandbox.workspaces.jails.seccomp import compile_filter
from sandbox.workspaces.jails.warden import Warden
from sandbox.workspaces.records.controls import Controls, ControlsUnreadable, FileControls
from sandbox.workspaces.records.hub_settings import HubSettings, load_settings
from sandbox.workspaces.records.runtime import give_socket, make_runtime, runtime_paths

log = logging.getLogger(__name__)

WARDEN_SECONDS = 0.1
SWEEP_SECONDS = 0.5
_PLATFORM_THREADS, _SERVER_THREADS = 32, 64
_SERVER_AT_ONCE = 2
"""Requests of one server that are worked on at the same time: a browser can ask its server for a hundred kernels."""
_PLATFORM_CONNECTIONS = 256
_SERVER_CONNECTIONS = 32

Table = dict[type, Callable[[Any], Any]]


def platform_table(keeper: Keeper) -> Table:
    """Return what is done for each verb of the platform; a new verb is a type in `jailer_verbs` and a line here."""
    return {
        verbs.Prepare: lambda call: keeper.prepare(call.workspace),
        verbs.Start: lambda call: keeper.start(call.workspace, call.account, call.variables),
        verbs.Poll: lambda call: keeper.poll(call.workspace),
        verbs.Stop: lambda call: keeper.stop(call.workspace, call.grace),
        verbs.Read: lambda call: keeper.read(call.workspace, call.name),
        verbs.Destroy: lambda call: keeper.destroy(call.workspace),
        verbs.Measure: lambda call: keeper.measure(call.workspace),
        verbs.Account: lambda call: keeper.account(call.workspace),
        verbs.Describe: lambda _: keeper.books.describe(),
    }


def server_table(keeper: Keeper, workspace: str) -> Table:
    """Return what is done for each verb of the server of `workspace`."""
    return {
        verbs.KernelStart: lambda call: keeper.start_kernel(workspace, call),
        verbs.KernelPoll: lambda call: keeper.poll_kernel(workspace, call.kernel),
        verbs.KernelStop: lambda call: keeper.stop_kernel(workspace, call.kernel),
    }


class Jailer:
    """The sockets over a `Keeper`, and the warden beside them in a thread of its own."""

    def __init__(self, settings: HubSettings, host: CgroupHost | None = None) -> None:
        self._settings = settings
        self._host = host or CgroupHost.detect()
        self.keeper = Keeper(settings, self._host)
        self._pool = ThreadPoolExecutor(_PLATFORM_THREADS, "platform")
        self._server_pool = ThreadPoolExecutor(_SERVER_THREADS, "servers")
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(verbs.ServerCall)
        self._windows: dict[str, LineServer[Any]] = {}
        self._table = platform_table(self.keeper)
        self._ended = threading.Event()

    async def serve(self, stopped: asyncio.Event) -> None:
        """Answer until `stopped`; refuses to start beside another jailer of the same sockets."""
        make_runtime(self._settings.runtime, self._settings.service_uid)
        _refuse_second(self._settings.jailer_socket)
        compile_filter()  # Once, before anybody waits for it.
        warden = threading.Thread(target=self._watch, name="warden", daemon=True)
        warden.start()
        self.keeper.adopt()
        await self._bring_in_line()
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(verbs.PlatformCall)
        rules = LineRules(most_connections=_PLATFORM_CONNECTIONS, patient=False, peers=self._peers())
        door = LineServer("the jailer", decoder, self._answer, verbs.name_verbs(verbs.PlatformCall), rules)
        await door.open(self._settings.jailer_socket)
        service = self._settings.service_uid
        owner = os.geteuid() if service is None else service
        give_socket(self._settings.jailer_socket, owner)
        rooms = make_door(self._settings, self._host)
        await rooms.open(self._settings.runtime / ROOMS_SOCKET, owner)
        sweeping = asyncio.create_task(self._sweep())
        try:
            await stopped.wait()
        finally:
            self._ended.set()
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await rooms.close()
            for server in (door, *self._windows.values()):
                await server.close()
            for pool in (self._pool, self._server_pool):
                pool.shutdown(wait=False)

    def _peers(self, uid: int | None = None) -> frozenset[int]:
        asking = uid if uid is not None else self._settings.service_uid
        return frozenset({0, os.geteuid()} | (set() if asking is None else {asking}))

    async def _answer(self, call: Any) -> Any:
        result = await _run(self._pool, self._table[type(call)], call)
        await self._bring_in_line()
        return result

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await _run(self._pool, self.keeper.sweep)
                await self._bring_in_line()
            except Exception:  # The boundary of this task: it is logged and tried again.
                log.exception("the workspaces could not be swept; trying again")

    async def _bring_in_line(self) -> None:
        """Answer exactly the servers that live."""
        wanted = set(self.keeper.list_open())
        for workspace in set(self._windows) - wanted:
            await self._windows.pop(workspace).close()
        for workspace in wanted - set(self._windows):
            uid = self.keeper.uid_of(workspace)
            if uid is not None:
                await self._open_window(workspace, uid)

    async def _open_window(self, workspace: str, uid: int) -> None:
        table, turns = server_table(self.keeper, workspace), asyncio.Semaphore(_SERVER_AT_ONCE)

        async def answer(call: Any) -> Any:
            async with turns:
                return await _run(self._server_pool, table[type(call)], call)

        # Not patient: a kernel could have its server speak ZeroMQ to this socket, and must not make it go on.
        rules = LineRules(most_connections=_SERVER_CONNECTIONS, patient=False, peers=self._peers(uid))
        accepted = verbs.name_verbs(verbs.ServerCall)
        window = LineServer(f"the jailer's socket of {workspace}", self._decoder, answer, accepted, rules)
        self._windows[workspace] = window
        path = runtime_paths(self._settings.runtime, workspace).jailer
        await window.open(path)
        give_socket(path, uid)

    def _watch(self) -> None:
        warden = Warden(self._host, self._settings.runtime)
        keep_watch(warden, FileControls(self._settings.controls), self._ended)


async def _run(pool: ThreadPoolExecutor, verb: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, verb, *arguments)


def keep_watch(warden: Warden, controls: Controls, ended: threading.Event) -> None:
    """Have `warden` obey the orders, several times a second, until `ended`.

    Orders that cannot be read change nothing here: the gate passes no byte meanwhile.
    """
    while not ended.wait(WARDEN_SECONDS):
        try:
            warden.obey(controls.read())
            warden.let_short_cells_first()
        except ControlsUnreadable:
            continue
        except Exception:  # The boundary of this thread: it must go on whatever one round meets.
            log.exception("orders could not be obeyed; trying again")


def _refuse_second(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        raise SystemExit(f"the jailer refused to start: another one answers at {path}")


async def _run_until_told(jailer: Jailer) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await jailer.serve(stopped)


def main() -> None:
    """Run the jailer with the settings that the environment names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    os.umask(0o077)
    asyncio.run(_run_until_told(Jailer(load_settings())))


if __name__ == "__main__":
    main()
