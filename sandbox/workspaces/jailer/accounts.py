"""What a workspace has used, in totals that only grow: of processor, memory, disk; and the limits that it ran into.

A control group counts from nothing each time that it is made, so the account remembers what each group had counted
when it was last looked at, and adds the difference. It is a file of the jailer's, written before anybody is told, and
goes on where it stopped, whichever process of the platform was killed.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from sandbox.workspaces.host.disks import DiskUse
from sandbox.workspaces.host.limits import Consumption
from sandbox.workspaces.records.controls import check_workspace_id, write_atomically

MEMORY_GAP_SECONDS = 60.0
"""Memory is not counted over a longer gap between two looks: nobody knows what was used meanwhile."""

HITS = ("memory", "processes", "disk")
"""The limits that a workspace can run into while it goes on."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one group had counted when it was last looked at."""

    incarnation: str = ""
    cpu_nanoseconds: int = 0
    memory_bytes: int = 0
    kills: int = 0
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """The totals of one workspace since its account was opened; `epoch` is another for each account.

    Bytes times seconds are counted at every look, as the mean of two looks times the time between them. `at` is the
    last look (seconds since 1970), `busy_at` the last one since which its kernels had worked. `ended_for` is the limit
    for which the jailer itself ended the workspace the last time, empty where it did not.
    """

    epoch: str
    at: float
    cpu_nanoseconds: int = 0
    memory_byte_seconds: int = 0
    storage_byte_seconds: int = 0
    storage_bytes: int = 0
    full: bool = False
    ended_for: str = ""
    busy_at: float = 0.0
    hits: dict[str, int] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)


BUSY_SHARE = 0.02
"""Kernels that used more of one processor than this since the last look are at work."""


def open_account(at: float) -> Account:
    """Return a new account, which begins now."""
    return Account(secrets.token_hex(8), at)


def advance(account: Account, groups: Mapping[str, Consumption], disk: DiskUse | None, at: float) -> Account:
    """Return the account after a look at the groups (`server`, `kernels`) and the disk at the moment `at`."""
    passed = max(at - account.at, 0.0)
    cpu = memory = kills = refusals = 0
    worked = 0
    seen: dict[str, Seen] = {}
    for part, now in groups.items():
        before = account.seen.get(part, Seen())
        if before.incarnation != now.incarnation:
            before = Seen(now.incarnation)
        used = max((now.cpu_nanoseconds or 0) - before.cpu_nanoseconds, 0)
        cpu += used
        worked += used if part == "kernels" else 0
        if now.incarnation and passed <= MEMORY_GAP_SECONDS:
            memory += int((before.memory_bytes + (now.memory_bytes or 0)) / 2 * passed)
        kills += max(now.kills - before.kills, 0)
        refusals += max(now.refusals - before.refusals, 0)
        seen[part] = Seen(now.incarnation, now.cpu_nanoseconds or 0, now.memory_bytes or 0, now.kills, now.refusals)
    stored = 0 if disk is None else disk.used_bytes
    full = disk is not None and disk.is_full
    fresh = {"memory": kills, "processes": refusals, "disk": int(full and not account.full)}
    return replace(
        account, at=max(at, account.at), cpu_nanoseconds=account.cpu_nanoseconds + cpu,
        memory_byte_seconds=account.memory_byte_seconds + memory,
        storage_byte_seconds=account.storage_byte_seconds + int((account.storage_bytes + stored) / 2 * passed),
        storage_bytes=stored, full=full, busy_at=at if worked > BUSY_SHARE * 1e9 * passed else account.busy_at,
        hits={name: account.hits.get(name, 0) + fresh[name] for name in HITS}, seen=seen,
    )  # fmt: skip


class AccountFiles:
    """The accounts of one installation, one small file a workspace in a folder that only the jailer writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, workspace: str) -> Account | None:
        """Return the account as it was last written; None when there is none, or what stands there is none."""
        try:
            body = json.loads(self._path(workspace).read_bytes())
            seen = {part: Seen(**one) for part, one in body.pop("seen").items()}
            return Account(**body, seen=seen)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, workspace: str, account: Account) -> None:
        """Keep the account."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._path(workspace), json.dumps(asdict(account)).encode())

    def _path(self, workspace: str) -> Path:
        check_workspace_id(workspace)
        return self._folder / f"{workspace}.json"
