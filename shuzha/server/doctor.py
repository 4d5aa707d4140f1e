"""`shuzha doctor`: what this host lacks, and the one thing to do about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.workspaces.host import disks, limits
from sandbox.workspaces.jails import landlock
from shuzha.core.errors import ShuzhaError
from shuzha.core.keys import KeyRing
from shuzha.core.settings import Settings
from shuzha.server.doctor_users import Finding, look_at_jail_users, look_at_processes, look_at_service_user

_LEAST_FREE_BYTES = 2 << 30
_PROBE = """
import importlib.util, ipykernel, polars, workbench
print(any(importlib.util.find_spec(name) for name in ("shuzha", "policies", "products", "desensitize", "casbin")))
"""
_VENDOR = Path(__file__).parents[1] / "portal" / "static" / "vendor"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `ok`, what was found, and how to mend it; a check that is not `needed` only warns."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True

    @property
    def sign(self) -> str:
        """The one word for it: ok, MISSING, or note where it only warns."""
        if self.ok:
            return "ok"
        return "MISSING" if self.needed else "note"


def examine(settings: Settings) -> tuple[Check, ...]:
    """Return every check, each run apart, so that one that fails hides no other."""
    return tuple(_guarded(check, settings) for check in CHECKS)


def _guarded(check: Callable[[Settings], Check], settings: Settings) -> Check:
    try:
        return check(settings)
    except (OSError, ShuzhaError, subprocess.SubprocessError) as error:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        return Check(name, ok=False, found=str(error), mend="see the message")


def check_python(_settings: Settings) -> Check:
    """Check the interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    return Check("Python", sys.version_info >= (3, 11), found, "install Python 3.11 or newer")


def check_bubblewrap(_settings: Settings) -> Check:
    """Check that an empty jail starts, and say which part failed."""
    path = shutil.which("bwrap")
    if path is None:
        return Check("bubblewrap", ok=False, found="absent", mend="apt-get install -y bubblewrap")
    command = [
        path,
        "--unshare-user",
        "--unshare-all",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "true",
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    said = run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "an empty jail starts"
    mend = (
        "on Ubuntu 23.10 or newer install bubblewrap's AppArmor profile; inside a container allow user namespaces "
        "(seccomp=unconfined)"
    )
    return Check("bubblewrap", run.returncode == 0, said, mend)


def check_limits(_settings: Settings) -> Check:
    """Check which limits of a workspace this host can enforce."""
    missing = limits.CgroupHost.detect().cannot
    found = "memory, cpu, processes and freezing are enforced" if not missing else "; ".join(missing)
    return Check("workspace limits", not missing, found, "run as root on a host with cgroups", needed=False)


def check_disks(settings: Settings) -> Check:
    """Check that each workspace's home can have a disk image of its own."""
    folder = next(one for one in (settings.data, *settings.data.parents) if one.is_dir())
    hindrance = disks.find_hindrance(folder)
    found = hindrance or "each home has a disk image of its own, which caps its bytes and files"
    mend = "run as root on a host with loop devices; apt-get install -y e2fsprogs mount"
    return Check("disk of workspaces", not hindrance, found, mend, needed=False)


def check_landlock(_settings: Settings) -> Check:
    """Check how much of the second layer around a notebook's kernel this host has."""
    abi = landlock.landlock_abi()
    mend = "a kernel of Linux 6.12 or newer with Landlock switched on (lsm=landlock,…)"
    return Check("Landlock", abi >= landlock.WHOLE_ABI, landlock.describe_landlock(abi), mend, needed=False)


def check_spawner(settings: Settings) -> Check:
    """Check that what runs workspaces is installed."""
    if settings.spawner == "bwrap":
        return Check("workspaces", ok=True, found="jails of this host", needed=False)
    if importlib.util.find_spec("kubespawner") is None:
        mend = "start with SHUZHA_SPAWNER=kubernetes in the environment: the scripts then install the extra"
        return Check("workspaces", ok=False, found="pods, but jupyterhub-kubespawner is not installed", mend=mend)
    address = settings.address_for_pods
    mend = "set pod_address, or run the platform in the cluster behind deploy/kubernetes/service.yaml"
    return Check("workspaces", bool(address), f"pods, which reach the platform at {address or 'no address'}", mend)


def check_privilege(_settings: Settings) -> Check:
    """Check that workspaces get users of their own."""
    is_root = os.geteuid() == 0
    found = "each workspace has a user of its own" if is_root else "all workspaces run as one user"
    return Check("one user per workspace", is_root, found, "start the platform as root", needed=False)


def check_service_user(settings: Settings) -> Check:
    """Check who the services are: not root, and a user that has a name."""
    return _of("service user", look_at_service_user(settings))


def check_jail_users(settings: Settings) -> Check:
    """Check that the users that jails run as are nobody else's."""
    return _of("users of jails", look_at_jail_users(settings))


def check_processes(settings: Settings) -> Check:
    """Check which process runs as whom."""
    return _of("processes", look_at_processes(settings))


def _of(name: str, found: Finding) -> Check:
    return Check(name, found.ok, found.found, found.mend, needed=False)


def check_sandbox_environment(settings: Settings) -> Check:
    """Check that the analysts' environment starts and holds nothing of the server."""
    python = settings.sandbox_environment / "bin" / "python"
    mend = "run `script/serve` or `script/demo`, which make it"
    if not python.exists():
        return Check("sandbox environment", ok=False, found="absent", mend=mend)
    run = subprocess.run([str(python), "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False)
    if run.returncode:
        return Check("sandbox environment", ok=False, found="does not start", mend=mend)
    holds = run.stdout.strip() != "False"
    return Check(
        "sandbox environment", not holds, "holds server code" if holds else "ready; nothing of the server", mend
    )


def check_frontend(_settings: Settings) -> Check:
    """Check that the portal's front-end files are there."""
    missing = [name for name in ("htmx.min.js", "pico.min.css") if not (_VENDOR / name).exists()]
    found = "missing: " + ", ".join(missing) if missing else "ready"
    return Check("front-end files", not missing, found, "run `script/serve` or `script/demo`, which fetch them")


def check_keys(settings: Settings) -> Check:
    """Check that the master key is there and closed to others."""
    folder = settings.folder("keys")
    if not (folder / "master.key").exists():
        return Check("master key", ok=True, found="none yet: made at the first start", needed=False)
    KeyRing(folder)
    return Check("master key", ok=True, found="mode 0600")


def check_disk(settings: Settings) -> Check:
    """Check the free disk under the data folder."""
    place = settings.data
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return Check(
        "free disk", free >= _LEAST_FREE_BYTES, f"{free >> 30} GiB", "free at least 2 GiB under the data folder"
    )


def check_clock(settings: Settings) -> Check:
    """Check that production has no clock offset."""
    settings.clock()
    return Check("clock", ok=True, found="demo clock: it may be moved forward" if settings.demo else "the host's")


CHECKS: tuple[Callable[[Settings], Check], ...] = (
    check_python,
    check_bubblewrap,
    check_limits,
    check_disks,
    check_landlock,
    check_spawner,
    check_privilege,
    check_service_user,
    check_jail_users,
    check_processes,
    check_sandbox_environment,
    check_frontend,
    check_keys,
    check_disk,
    check_clock,
)


def missing(checks: tuple[Check, ...]) -> Iterator[Check]:
    """Yield the checks that stop the platform from working."""
    return (check for check in checks if check.needed and not check.ok)
