"""One running installation: prepared (folders, keys, migrations), then its processes under the supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
from pathlib import Path

from sandbox.workspaces.host import private_view
from sandbox.workspaces.host.disks import detach_all
from sandbox.workspaces.host.limits import CgroupHost
from sandbox.workspaces.jails.warden import end_workspace
from sandbox.workspaces.records.controls import WORKSPACE_ID
from sandbox.workspaces.records.runtime import make_runtime
from shuzha.core.errors import Conflict
from shuzha.core.service_user import ServiceUser, acting_as, choose_user, hand_over
from shuzha.core.settings import Settings
from shuzha.server import schema
from shuzha.server.platform import Platform
from shuzha.server.supervisor import Supervisor
from shuzha.server.units import check_ports, make_units, write_jailer_settings

CLOSED = ("hub", "jobs", "keys", "logs", "products", "raw", "records", "run", "usage", "vault", "workspaces")
"""The folders of the data that only the platform's own user enters."""

OF_THE_JAILER = {"homes": 0o711, "images": 0o700, "accounts": 0o700, "servers": 0o700}
"""The folders of the data, and their modes, that stay root's where root starts the platform: the jailer's work."""

_SHARED, _SHARED_AND_PASSED = 0o1770, 0o1771


class RunningPlatform:
    """Starts and stops everything; `platform` gives this process the services over the same data.

    Where root starts it, the data folder becomes the service user's, and so do all processes but the jailer.
    """

    def __init__(self, settings: Settings) -> None:
        self.platform = Platform(settings.pinned())
        self._supervisor: Supervisor | None = None

    def start(self) -> None:
        """Prepare the installation and start its processes; refuses a taken port and says what did not start."""
        settings = self.platform.settings
        user = choose_user(settings.service_user, settings.data)
        check_ports(settings, user)
        make_runtime(settings.runtime, settings.service_uid)
        write_jailer_settings(self.platform)
        if user is not None:
            clear_sockets(settings.runtime, user)
            give_data(settings, user)
        with acting_as(user):
            prepare(self.platform, owns_data=user is None)
            units = make_units(self.platform, write_settings(settings))
        self._supervisor = Supervisor(units, settings.folder("run"), user)
        self._supervisor.start()

    def stop(self) -> None:
        """Stop every process, the workspaces' too."""
        if self._supervisor is not None:
            self._supervisor.stop()
        end_gate(self.platform)
        end_workspaces(self.platform)

    def pid(self, name: str) -> int:
        """Return the process id of a unit."""
        if self._supervisor is None:
            raise ValueError("the platform is not running")
        return self._supervisor.pid(name)

    def wait(self) -> None:
        """Block until a stop was requested."""
        if self._supervisor is not None:
            self._supervisor.wait()

    def request_stop(self) -> None:
        """Make `wait` return; safe in a signal handler."""
        if self._supervisor is not None:
            self._supervisor.request_stop()


def give_data(settings: Settings, user: ServiceUser) -> None:
    """Give the data to the service user, but for what is the jailer's; refuses a place that he cannot reach.

    The folder itself stays root's and his group's, sticky: he adds to it, and replaces nothing of the jailer's. Other
    users do not even pass through it where jails can be shown their sources without.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    for name, mode in OF_THE_JAILER.items():
        _keep_for_root(settings.folder(name), mode)
    hand_over(settings.data, user, kept=OF_THE_JAILER, itself=False)
    os.chown(settings.data, 0, user.gid)
    settings.data.chmod(_SHARED if private_view.can_be_made() else _SHARED_AND_PASSED)
    with acting_as(user, settings.data, Path(sys.executable), Path(__file__), settings.sandbox_environment):
        return


def clear_sockets(runtime: Path, user: ServiceUser) -> None:
    """Take away the sockets that an earlier start left as another user: the service user could not replace them."""
    for path in runtime.iterdir():
        status = path.stat(follow_symlinks=False)
        if stat.S_ISSOCK(status.st_mode) and status.st_uid != user.uid:
            path.unlink(missing_ok=True)


def _keep_for_root(folder: Path, mode: int) -> None:
    if folder.is_symlink():
        raise Conflict(f"{folder} is a link", rule="service_user", accepted="a folder of root's, for the jailer")
    folder.mkdir(exist_ok=True)
    os.chown(folder, 0, 0, follow_symlinks=False)
    folder.chmod(mode)


def prepare(platform: Platform, *, owns_data: bool = True) -> None:
    """Make folders and keys and bring the records to the newest revision."""
    settings = platform.settings
    settings.data.mkdir(parents=True, exist_ok=True)
    for name in CLOSED:
        settings.folder(name).mkdir(exist_ok=True)
        settings.folder(name).chmod(0o700)
    if owns_data:
        # A workspace's user passes through the data folder to its home and releases, and sees nothing else of it.
        settings.data.chmod(0o711)
    _ = platform.keys
    schema.migrate(platform.database)


def write_settings(settings: Settings) -> Path:
    """Write the settings for the processes, and return the file."""
    path = settings.folder("run") / "settings.toml"
    path.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in settings.as_dict().items()), "utf-8")
    return path


def end_gate(platform: Platform) -> None:
    """End the gate that a hub left which failed while it started; one that the hub has ended needs nothing."""
    settings, hub = platform.settings, platform.hub_settings
    with acting_as(choose_user(settings.service_user, settings.data)), contextlib.suppress(OSError, ValueError):
        number = int((hub.state / "gate.pid").read_text())
        handle = os.pidfd_open(number)
        try:
            # The note is the services' own: a process that is none of theirs, or no gate of ours, is left alone.
            place = Path(f"/proc/{number}")
            is_theirs = place.stat().st_uid == (os.geteuid() if hub.service_uid is None else hub.service_uid)
            if is_theirs and os.fsencode(hub.controls) in (place / "cmdline").read_bytes().split(b"\0"):
                signal.pidfd_send_signal(handle, signal.SIGTERM)
        finally:
            os.close(handle)


def end_workspaces(platform: Platform) -> None:
    """End whatever still runs in the jails of this installation's workspaces; another's are not touched.

    A workspace of this installation has its sockets in its runtime folder: a restored copy knows the same names. The
    records are not asked: root reads nothing that a service could have written to mislead it.
    """
    host, runtime = CgroupHost.detect(), platform.settings.runtime
    for folder in sorted(runtime.iterdir()) if runtime.is_dir() else ():
        if WORKSPACE_ID.fullmatch(folder.name) and folder.stat(follow_symlinks=False).st_uid == os.geteuid():
            end_workspace(host, runtime, folder.name)
    detach_all(platform.settings.folder("homes"))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{value}"'
