"""`shuzha doctor` on users: who the services are, whether a jail's user is somebody's, which process runs as whom."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.workspaces.clean_room.box import FIRST_ROOM_UID, ROOM_UIDS
from sandbox.workspaces.records.specs import FIRST_UID
from shuzha.core.service_user import ACCOUNT, choose_user
from shuzha.core.settings import Settings

JAIL_USERS = range(FIRST_UID, FIRST_ROOM_UID + ROOM_UIDS)
"""Workspaces and clean rooms run as these."""

_PROGRAMS = {
    "writer": "shuzha.metering.writer", "jailer": "sandbox.workspaces.jailer", "portal": "shuzha.server.portal_app",
    "worker": "shuzha.server.worker", "forms": "products.forms", "api": "products.serving", "hub": "jupyterhub",
    "gate": "sandbox.workspaces.gate",
}  # fmt: skip
_MAKE_ACCOUNT = f'adduser --system --group --no-create-home {ACCOUNT}, and service_user = "{ACCOUNT}" in the settings'


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, whether it is well, and how to mend it."""

    ok: bool
    found: str
    mend: str = ""


def look_at_service_user(settings: Settings) -> Finding:
    """Return who services run as when the caller starts the platform."""
    if os.geteuid() != 0:
        return Finding(True, f"services run as whoever starts them, now {name_of(os.geteuid())}")
    user = choose_user(settings.service_user, settings.data)
    if user is None:
        return Finding(False, "services run as root", f"service_user empty, or an account: {_MAKE_ACCOUNT}")
    if not user.name:
        return Finding(False, f"services run as {user.uid}, a number that no account has", _MAKE_ACCOUNT)
    return Finding(True, f"services run as {user.describe()}")


def look_at_jail_users(settings: Settings, delegated: Path = Path("/etc/subuid")) -> Finding:
    """Return whether the users of jails are nobody else's: no account's, no account's delegated range, no service's."""
    taken = [f"the account {one.pw_name} ({one.pw_uid})" for one in pwd.getpwall() if one.pw_uid in JAIL_USERS]
    taken += [f"the delegated range of {name}" for name, users in _delegated(delegated) if _meets(users, JAIL_USERS)]
    user = choose_user(settings.service_user, settings.data)
    if user is not None and user.uid in JAIL_USERS:
        taken.append(f"the service user {user.describe()}")
    span = f"{JAIL_USERS.start} to {JAIL_USERS.stop - 1}"
    if taken:
        return Finding(False, f"among {span} lie {', '.join(taken)}", f"move them out of {span}: jails run as these")
    return Finding(True, f"{span} are nobody else's")


def look_at_processes(settings: Settings) -> Finding:
    """Return which process of a running platform runs as whom; only the jailer may be root."""
    try:
        users = dict(_running(settings))
    except PermissionError:
        return Finding(True, "not yours to see: run doctor as root or as the service user")
    if not users:
        return Finding(True, "the platform is not running")
    by_user: dict[int, list[str]] = {}
    for unit, uid in users.items():
        by_user.setdefault(uid, []).append(unit)
    found = "; ".join(f"{', '.join(units)} as {name_of(uid)}" for uid, units in sorted(by_user.items()))
    wrong = [unit for unit in by_user.get(0, []) if unit != "jailer"]
    return Finding(not wrong, found, f"{', '.join(wrong)} should not be root: {_MAKE_ACCOUNT}, and start again")


def name_of(uid: int) -> str:
    """Return a user's account, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _running(settings: Settings) -> Iterator[tuple[str, int]]:
    notes = {unit: settings.folder("run") / f"{unit}.pid" for unit in _PROGRAMS}
    notes["gate"] = settings.folder("hub") / "gate.pid"
    for unit, note in notes.items():
        try:
            process = Path("/proc") / str(int(note.read_text()))
            # After a restart of the host the number is somebody else's.
            if _PROGRAMS[unit].encode() in (process / "cmdline").read_bytes():
                yield unit, process.stat().st_uid
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError, ValueError):
            continue


def _delegated(path: Path) -> Iterator[tuple[str, range]]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        name, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if first.isdigit() and count.isdigit():
            yield name, range(int(first), int(first) + int(count))


def _meets(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop
