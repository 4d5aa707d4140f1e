"""The jailer's work: it starts, finds, measures and ends the jails of workspaces, and keeps their homes.

Everything that it needs to know of a workspace is in the workspace's specification. Every verb bears a repeat; verbs on
one workspace take turns, verbs on different ones do not wait for each other.
"""

from __future__ import annotations

import base64
import logging
import os
import shutil
import subprocess
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.workspaces.host.disks import DiskFailed, Disks
from sandbox.workspaces.host.homes import NOTEBOOKS, UnsafePath, prepare_home, read_beneath
from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.host.mounts import make_room, show_without_links, unmount
from sandbox.workspaces.host.server_log import open_log
from sandbox.workspaces.jailer.books import Books
from sandbox.workspaces.jailer.verbs import KernelStart
from sandbox.workspaces.jailer.workspace_jails import Places, build_kernel_jail, build_server_jail
from sandbox.workspaces.jails.jail import Jail, JailFailed, end_marked, start_jail
from sandbox.workspaces.jails.warden import KERNELS, group_name, kernel_group_name
from sandbox.workspaces.records.controls import WORKSPACE_ID, FileControls
from sandbox.workspaces.records.hub_settings import HubSettings
from sandbox.workspaces.records.runtime import RuntimePaths, RuntimeUnsafe, listen_for, runtime_paths
from sandbox.workspaces.records.specs import FileSpecs, WorkspaceRefused, WorkspaceSpec
from shuzha.core.errors import Invalid, NotAllowed, NotFound, Unavailable

log = logging.getLogger(__name__)

MOST_KERNELS = 16
MOST_NOTEBOOK_BYTES = 8 * 1024**2
_IPC_BYTES, _IPC_FILES = 1024**2, 512


@dataclass(slots=True)
class House:
    """What runs of one workspace: its server, its kernels, how the server ended, whether all of it is being ended."""

    server: Jail | None = None
    kernels: dict[str, Jail] = field(default_factory=dict)
    code: int = 0
    ending: bool = False
    turn: threading.RLock = field(default_factory=threading.RLock)
    kernel_turn: threading.RLock = field(default_factory=threading.RLock)

    def is_open(self) -> bool:
        """Return whether the server lives and is not being ended."""
        server = self.server
        return server is not None and not self.ending and server.exit_code() is None


class Keeper:
    """The workspaces of one installation, whose settings are the hub's."""

    def __init__(self, settings: HubSettings, host: CgroupHost | None = None) -> None:
        self._settings = settings
        self._host = host or CgroupHost.detect()
        self._houses: dict[str, House] = {}
        self.disks = Disks(settings.homes)
        self.books = Books(self._host, self.disks, settings.runtime, settings.accounts)
        self._specs = FileSpecs(
            settings.specs, release_root=settings.releases, home_root=settings.homes,
            controls=FileControls(settings.controls), own_root=settings.own,
        )  # fmt: skip

    # --- the server ------------------------------------------------------------------------------------------------

    def adopt(self) -> tuple[str, ...]:
        """Find the jails that an earlier jailer left running, and return the workspaces that have a living server."""
        for folder in sorted(self._settings.runtime.iterdir()):
            if WORKSPACE_ID.fullmatch(folder.name) and RuntimePaths(folder).is_own() and (folder / "kernels").is_dir():
                self._adopt(folder.name)
        return self.list_open()

    def list_open(self) -> tuple[str, ...]:
        """Return the workspaces whose server lives and may ask for kernels."""
        return tuple(name for name, house in sorted(self._houses.items()) if house.is_open())

    def uid_of(self, workspace: str) -> int | None:
        """Return the user of a workspace, None when it has no specification."""
        spec = self._specs.find(workspace)
        return None if spec is None else spec.uid

    def prepare(self, workspace: str) -> None:
        """Make the home and the folders of the sockets; refuses a workspace without a specification."""
        spec = self._find(workspace)
        with self._house(workspace).turn:
            self._make(spec)

    def start(self, workspace: str, account: str, variables: dict[str, str]) -> None:
        """Start the server. What an earlier one left is ended first, so that nothing old shares the new one's limits.

        Refuses unknown, somebody else's and suspended workspaces, and says what of the jail could not be built.
        """
        house = self._house(workspace)
        with house.turn:
            spec = self._load(workspace, account)
            self._end(workspace, house, 0.0)
            paths = self._make(spec)
            places = self._show(spec, paths)
            try:
                listening = listen_for(paths.inward, self._settings.service_uid)
            except OSError as error:
                raise Unavailable(f"cannot put a socket for the gate: {error.strerror}", rule="jail") from None
            writing = open_log(self._settings.server_logs / f"{workspace}.log")
            try:
                jail = build_server_jail(spec, places, variables, listening.fileno())
                house.server = start_jail(jail, self._host, pass_fds=(listening.fileno(),), output=writing)
                house.server.leave_mark(paths.mark)
                self.books.note_end(workspace, "")
            except JailFailed as error:
                raise Unavailable(str(error), rule="jail") from error
            finally:
                listening.close()
                os.close(writing)
            house.ending = False

    def poll(self, workspace: str) -> int | None:
        """Return None while the server lives, else its exit code (0 when it is not known)."""
        house = self._house(workspace)
        server = house.server
        return house.code if server is None else server.exit_code()

    def stop(self, workspace: str, grace: float) -> None:
        """End the kernels, then the server and everything in it, and take their sockets away."""
        house = self._house(workspace)
        house.ending = True
        self._let_go(workspace)
        with house.turn:
            self._end(workspace, house, grace)

    def sweep(self) -> None:
        """End the kernels of servers that are gone, and forget kernels that are."""
        for workspace, house in list(self._houses.items()):
            if not house.turn.acquire(blocking=False):
                continue
            try:
                if house.server is not None and house.server.exit_code() is not None:
                    log.warning("the server of %s has ended", workspace)
                    self._end(workspace, house, 0.0)
                self._forget_ended(workspace, house)
                self._look(workspace, house)
            finally:
                house.turn.release()

    # --- its kernels -----------------------------------------------------------------------------------------------

    def start_kernel(self, workspace: str, asked: KernelStart) -> None:
        """Start a kernel in a jail of its own; one with the same id is ended first.

        Refuses where the workspace is suspended, closed or ending, and more than a few kernels at once.
        """
        house = self._house(workspace)
        with house.kernel_turn:
            if not house.is_open():
                raise NotAllowed(f"workspace {workspace} is not open", rule="workspace.kernel")
            spec = self._load(workspace, self._find(workspace).account)
            self.stop_kernel(workspace, asked.kernel)
            if len(house.kernels) >= MOST_KERNELS:
                raise NotAllowed(
                    f"workspace {workspace} has {MOST_KERNELS} kernels", rule="workspace.kernels",
                    accepted="shut another notebook's kernel down first",
                )  # fmt: skip
            paths = runtime_paths(self._settings.runtime, workspace)
            self._make_sockets(paths, asked.kernel, spec.uid)
            places = Places(self._settings.environment, paths, spec.home / NOTEBOOKS, paths.ipc)
            try:
                jail = start_jail(build_kernel_jail(spec, places, asked), self._host)
            except JailFailed as error:
                self._forget_kernel(house, paths, asked.kernel)
                raise Unavailable(str(error), rule="jail") from error
            jail.leave_mark(paths.kernel_marks / asked.kernel)
            house.kernels[asked.kernel] = jail

    def poll_kernel(self, workspace: str, kernel: str) -> int | None:
        """Return None while the kernel lives, else its exit code (0 when it is not known)."""
        house = self._house(workspace)
        with house.kernel_turn:
            jail = house.kernels.get(kernel)
            if jail is None:
                return 0
            code = jail.exit_code()
            if code is not None:
                self._forget_kernel(house, runtime_paths(self._settings.runtime, workspace), kernel)
            return code

    def _forget_ended(self, workspace: str, house: House) -> None:
        """Forget the kernels that have ended; nobody waits here for one that is being started."""
        if house.kernel_turn.acquire(blocking=False):
            try:
                for kernel in list(house.kernels):
                    self.poll_kernel(workspace, kernel)
            finally:
                house.kernel_turn.release()

    def stop_kernel(self, workspace: str, kernel: str) -> None:
        """End a kernel and everything that it started."""
        house = self._house(workspace)
        with house.kernel_turn:
            jail = house.kernels.get(kernel)
            if jail is not None:
                jail.stop(grace=0)
            self._forget_kernel(house, runtime_paths(self._settings.runtime, workspace), kernel)

    # --- homes and figures -----------------------------------------------------------------------------------------

    def read(self, workspace: str, name: str) -> str:
        """Return a saved notebook in base 64; no link is followed. Refuses other names and large files."""
        if not name.endswith(".ipynb"):
            raise Invalid(f"cannot read {name!r} as a notebook", rule="workspace.notebook", accepted="a name.ipynb")
        try:
            return base64.b64encode(self._read(workspace, f"{NOTEBOOKS}/{name}")).decode()
        except DiskFailed as error:
            raise Unavailable(f"cannot read notebook {name!r}: {error}", rule="workspace.home") from None
        except UnsafePath as error:
            raise NotFound(
                f"cannot read notebook {name!r}: {error}", rule="workspace.notebook",
                accepted="a notebook saved in notebooks/",
            ) from None  # fmt: skip
        except FileNotFoundError:
            raise NotFound(f"workspace {workspace} has no home yet", rule="workspace.notebook") from None

    def destroy(self, workspace: str) -> dict[str, Any]:
        """Take the home and the sockets away for good, and return what was destroyed and how.

        Refuses a workspace that can still be started.
        """
        if self._specs.find(workspace) is not None:
            raise NotAllowed(f"workspace {workspace} can still be started", rule="workspace.home")
        house = self._house(workspace)
        self._let_go(workspace)
        with house.turn:
            self._end(workspace, house, 0.0)
            use = self.disks.use(workspace)
            method = self.disks.destroy(workspace)
            paths = runtime_paths(self._settings.runtime, workspace)
            if paths.is_own():
                shutil.rmtree(paths.folder)
            (self._settings.server_logs / f"{workspace}.log").unlink(missing_ok=True)
            self.books.look(workspace)
        self._houses.pop(workspace, None)
        return {"home": use is not None, "bytes": 0 if use is None else use.used_bytes, "method": method}

    def measure(self, workspace: str) -> dict[str, Any]:
        """Return what the server and the kernels use: memory, processor time, processes; None where not counted."""
        return {part: asdict(one) for part, one in self.books.groups(workspace).items()}

    def account(self, workspace: str) -> dict[str, Any]:
        """Return what the workspace has used in all, what its home takes up, and the limits that it ran into."""
        spec = self._specs.find(workspace)
        return self.books.say(workspace, None if spec is None else spec.limits)

    # --- how it is done --------------------------------------------------------------------------------------------

    def _house(self, workspace: str) -> House:
        return self._houses.setdefault(workspace, House())

    def _find(self, workspace: str) -> WorkspaceSpec:
        spec = self._specs.find(workspace)
        if spec is None:
            raise NotFound(f"no workspace named {workspace} may be started")
        return spec

    def _load(self, workspace: str, account: str) -> WorkspaceSpec:
        if workspace.endswith(KERNELS):
            raise NotAllowed(f"cannot start {workspace}: names of groups end with {KERNELS}", rule="workspace.name")
        try:
            return self._specs.load(account, workspace)
        except WorkspaceRefused as error:
            raise NotAllowed(str(error), rule="workspace.start") from error

    def _adopt(self, workspace: str) -> None:
        paths, house = runtime_paths(self._settings.runtime, workspace), self._house(workspace)
        house.server = Jail.find(paths.mark, self._host.group(group_name(self._settings.runtime, workspace)))
        group = self._host.group(kernel_group_name(self._settings.runtime, workspace))
        for mark in sorted(paths.kernel_marks.iterdir()):
            jail = Jail.find(mark, group, shares_group=True)
            if jail is not None:
                house.kernels[mark.name] = jail
        if house.server is None:
            self._end(workspace, house, 0.0)

    def _make(self, spec: WorkspaceSpec) -> RuntimePaths:
        """Make what a workspace needs on the host: its home, the folders of its sockets."""
        paths = runtime_paths(self._settings.runtime, spec.workspace)
        if spec.home != self._settings.homes / spec.workspace:
            raise Unavailable(f"the home of {spec.workspace} does not lie in its place", rule="workspace.home")
        try:
            self.disks.attach(spec.workspace, spec.uid, spec.limits)
            prepare_home(spec.home, spec.uid, self._settings.starter)
            paths.make(spec.uid, self._settings.service_uid)
        except (RuntimeUnsafe, FileExistsError, DiskFailed) as error:
            raise Unavailable(f"cannot prepare workspace {spec.workspace}: {error}", rule="workspace.home") from None
        return paths

    def _show(self, spec: WorkspaceSpec, paths: RuntimePaths) -> Places:
        """Give the kernels' sockets their room, and return what the server sees of them and of the notebooks."""
        make_room(paths.ipc, _IPC_BYTES, _IPC_FILES, 0o711)
        notebooks = spec.home / NOTEBOOKS
        if notebooks.is_symlink() or not notebooks.is_dir():
            raise Unavailable(f"the home of {spec.workspace} has no folder of notebooks", rule="workspace.home")
        return Places(
            self._settings.environment, paths,
            paths.notebooks if show_without_links(notebooks, paths.notebooks, writable=True) else notebooks,
            paths.sockets if show_without_links(paths.ipc, paths.sockets, writable=False) else paths.ipc,
        )  # fmt: skip

    def _read(self, workspace: str, name: str) -> bytes:
        """Return a file of the home, which is put in its place as long as that takes."""
        house = self._house(workspace)
        # From the home on: the analyst's code may have put a link in the place of the folder of notebooks.
        home = self._settings.homes / runtime_paths(self._settings.runtime, workspace).folder.name
        with house.turn:
            fetched = self.disks.attach_again(workspace)
            try:
                return read_beneath(home, name, MOST_NOTEBOOK_BYTES)
            finally:
                if fetched:
                    self.disks.detach(workspace)

    def _look(self, workspace: str, house: House) -> None:
        """Bring the account up to date when it is time, and end a workspace that nothing else holds to its disk."""
        if not self.books.is_due(workspace, runs=house.server is not None):
            return
        spec = self._specs.find(workspace)
        _, disk = self.books.look(workspace, None if spec is None else spec.limits)
        if house.server is not None and disk is not None and disk.is_full and not disk.capped:
            log.warning("%s holds more than its home may, and is ended", workspace)
            self.books.note_end(workspace, "disk")
            self._end(workspace, house, 2.0)

    def _make_sockets(self, paths: RuntimePaths, kernel: str, uid: int) -> None:
        folder = paths.ipc / kernel
        folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(folder, uid, uid)

    def _forget_kernel(self, house: House, paths: RuntimePaths, kernel: str) -> None:
        house.kernels.pop(kernel, None)
        (paths.kernel_marks / kernel).unlink(missing_ok=True)
        shutil.rmtree(paths.ipc / kernel, ignore_errors=True)

    def _end(self, workspace: str, house: House, grace: float) -> None:
        """End everything of a workspace: kernels first, so that the server has none to wait for."""
        house.ending = True
        paths = runtime_paths(self._settings.runtime, workspace)
        if house.server is not None or self.books.has(workspace):
            self.books.look(workspace)  # Its groups go, and what they have counted with them.
        self._host.group(kernel_group_name(self._settings.runtime, workspace)).kill()  # who starts one holds the turn
        with house.kernel_turn:
            self._end_kernels(workspace, house, paths)
        if house.server is not None:
            _stop(house.server, grace)
            house.code, house.server = house.server.exit_code() or 0, None
        group = self._host.group(group_name(self._settings.runtime, workspace))
        group.kill()
        group.remove()
        if paths.is_own():
            end_marked(paths.mark)
            for path in (paths.mark, paths.inward):
                path.unlink(missing_ok=True)
            unmount(paths.notebooks)
        self.disks.detach(workspace)

    def _let_go(self, workspace: str) -> None:
        """End a server that stands still: whoever was starting it when that began holds its workspace's turn."""
        group = self._host.group(group_name(self._settings.runtime, workspace))
        if group.is_frozen():
            group.kill()

    def _end_kernels(self, workspace: str, house: House, paths: RuntimePaths) -> None:
        group = self._host.group(kernel_group_name(self._settings.runtime, workspace))
        group.kill()
        for kernel, jail in list(house.kernels.items()):
            _stop(jail, 0.0)
            self._forget_kernel(house, paths, kernel)
        group.remove()
        if paths.is_own():
            for mark in paths.kernel_marks.iterdir() if paths.kernel_marks.is_dir() else ():
                end_marked(mark)
                mark.unlink(missing_ok=True)
            for place in (paths.sockets, paths.ipc):
                unmount(place)


def _stop(jail: Jail, grace: float) -> None:
    try:
        jail.stop(grace)
    except subprocess.TimeoutExpired:
        log.exception("a jail has not ended in time")
