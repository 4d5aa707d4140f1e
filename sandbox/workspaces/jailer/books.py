"""The jailer's books: what each workspace uses now, what it has used in all, and what this host holds it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sandbox.workspaces.host.disks import Disks, DiskUse
from sandbox.workspaces.host.limits import CgroupHost, Consumption, Limits
from sandbox.workspaces.jailer.accounts import Account, AccountFiles, advance, open_account
from sandbox.workspaces.jails.warden import group_name, kernel_group_name

SAMPLE_SECONDS = 10.0
REST_SECONDS = 300.0
KEEP_SECONDS = 2.0
HELD = {
    "memory": "memory is capped by a control group",
    "pids": "the number of processes is capped by a control group",
    "cpu": "processor time is shared out by a control group",
}
FROZEN = "a suspended workspace is frozen"
IMAGES = "each home has a disk image of its own, which caps its bytes and files"


class Books:
    """Accounts over control groups and disks. Looks at one workspace take turns."""

    def __init__(
        self, host: CgroupHost, disks: Disks, runtime: Path, folder: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._host = host
        self._disks = disks
        self._runtime = runtime
        self._files = AccountFiles(folder)
        self._clock = clock
        self._turn = threading.Lock()
        self._looked: dict[str, float] = {}

    def groups(self, workspace: str) -> dict[str, Consumption]:
        """Return what the server and the kernels use now: memory, processor time, processes."""
        names = {
            "server": group_name(self._runtime, workspace),
            "kernels": kernel_group_name(self._runtime, workspace),
        }
        return {part: self._host.group(name).measure() for part, name in names.items()}

    def look(self, workspace: str, limits: Limits | None = None) -> tuple[Account, DiskUse | None]:
        """Bring the account up to this moment, write it down, and return it with what the home takes up."""
        with self._turn:
            return self._look(workspace, limits, keep=True)

    def has(self, workspace: str) -> bool:
        """Return whether the workspace has an account."""
        return self._files.find(workspace) is not None

    def note_end(self, workspace: str, limit: str) -> None:
        """Write down for which limit the workspace is being ended; an empty one takes that back."""
        with self._turn:
            account = self._find(workspace, self._clock())
            if account.ended_for != limit:
                self._files.write(workspace, replace(account, ended_for=limit))

    def is_due(self, workspace: str, *, runs: bool) -> bool:
        """Return whether it is time for another look: often while a workspace runs, seldom while it rests."""
        every = SAMPLE_SECONDS if runs else REST_SECONDS
        return not 0 <= self._clock() - self._looked.get(workspace, float("-inf")) < every

    def say(self, workspace: str, limits: Limits | None = None) -> dict[str, Any]:
        """Return what the platform is told: the account, the disk, the groups, the limits.

        Whoever asks often does not have the account written each time.
        """
        with self._turn:
            account, disk = self._look(workspace, limits, keep=False)
        said = asdict(account)
        del said["seen"]
        groups = {part: asdict(one) for part, one in self.groups(workspace).items()}
        return {
            "account": said, "disk": None if disk is None else asdict(disk), "groups": groups,
            "limits": None if limits is None else asdict(limits), "counts_cpu": self._host.counts_cpu,
        }  # fmt: skip

    def describe(self) -> dict[str, list[str]]:
        """Return, in sentences, what this host holds workspaces to (`holds`), and what it cannot (`cannot`)."""
        holds = [text for name, text in HELD.items() if name in self._host.controllers]
        if self._host.unified is not None or "freezer" in self._host.controllers:
            holds.append(FROZEN)
        if not self._disks.cannot:
            holds.append(IMAGES)
        return {"holds": holds, "cannot": [*self._host.cannot, *filter(None, [self._disks.cannot])]}

    def _look(self, workspace: str, limits: Limits | None, *, keep: bool) -> tuple[Account, DiskUse | None]:
        now, disk = self._clock(), self._disks.use(workspace, limits)
        before = self._find(workspace, now)
        if disk is not None and limits is None and not disk.capped:
            disk = replace(disk, is_full=before.full)  # Its limit is not known now: it is no fuller than it was.
        account = advance(before, self.groups(workspace), disk, now)
        if keep or account.hits != before.hits or not 0 <= now - before.at < KEEP_SECONDS:
            self._files.write(workspace, account)
            self._looked[workspace] = now
        return account, disk

    def _find(self, workspace: str, now: float) -> Account:
        return self._files.find(workspace) or open_account(now)
