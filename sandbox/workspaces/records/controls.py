"""What the platform has ordered about workspaces: which are suspended and why, and their screen budgets.

The platform writes one small file, atomically; the gate reads it several times a second. A gate that cannot read its
orders holds every workspace back: no orders is not permission.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from shuzha.core.service_user import give_like_folder

WORKSPACE_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?")
"""A workspace's short name: it is the hub's server name, a folder, a control group and a route."""


class ControlsUnreadable(RuntimeError):
    """The orders cannot be read, so no workspace may be served; the message says what is wrong with the file."""


@dataclass(frozen=True, slots=True)
class DayBudget:
    """A screen budget in bytes that holds for one day only (`2026-03-02`)."""

    day: str
    budget: int


@dataclass(frozen=True, slots=True)
class Orders:
    """One reading of the controls: reasons of suspension and screen budgets in bytes, by workspace.

    `budgets` hold until they are changed, `today` for the day that each names; on that day it goes before the lasting
    one.
    """

    suspended: Mapping[str, str] = field(default_factory=dict)
    budgets: Mapping[str, int] = field(default_factory=dict)
    today: Mapping[str, DayBudget] = field(default_factory=dict)

    def budget_of(self, workspace: str, day: str) -> int | None:
        """Return the bytes that `workspace` may show on `day`; None where nobody has set any."""
        once = self.today.get(workspace)
        return once.budget if once is not None and once.day == day else self.budgets.get(workspace)


class Controls(Protocol):
    """Where a gate reads its orders."""

    def read(self) -> Orders:
        """Return the orders in force; raise `ControlsUnreadable` when that cannot be known."""


class FileControls:
    """Orders in one JSON file. Reading an unchanged file costs one `stat`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._orders = Orders()

    def read(self) -> Orders:
        """Return the orders in force; raise `ControlsUnreadable` when the file is absent or malformed."""
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._orders = parse_orders(self._path.read_bytes())
                self._stamp = stamp
        except OSError as error:
            self._stamp = None
            raise ControlsUnreadable(f"cannot read the controls {self._path.name}: {error.strerror}") from error
        return self._orders


class ControlsWriter:
    """The platform's pen on the same file. Every verb is idempotent; writers in several processes take turns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self) -> None:
        """Make the file if there is none, so that the gate may open; orders in force are kept."""
        with self._locked() as orders:
            self._replace(orders)

    def suspend(self, workspace: str, reason: str) -> None:
        """Have the gate hold `workspace` back within a second, and say `reason` to whoever asks."""
        check_workspace_id(workspace)
        with self._locked() as orders:
            self._replace(replace(orders, suspended={**orders.suspended, workspace: reason}))

    def resume(self, workspace: str) -> None:
        """Lift the suspension of `workspace`."""
        with self._locked() as orders:
            left = {name: reason for name, reason in orders.suspended.items() if name != workspace}
            self._replace(replace(orders, suspended=left))

    def set_budget(self, workspace: str, budget: int, *, day: str = "") -> None:
        """Set how many bytes a day `workspace` may show on screens: lastingly, or on `day` only.

        A lasting budget takes back one that was set for a day.
        """
        check_workspace_id(workspace)
        if budget < 0:
            raise ValueError(f"cannot set a screen budget of {budget} bytes: it must not be negative")
        with self._locked() as orders:
            days = {name: once for name, once in orders.today.items() if name != workspace}
            if day:
                changed = replace(orders, today={**days, workspace: DayBudget(day, budget)})
            else:
                changed = replace(orders, budgets={**orders.budgets, workspace: budget}, today=days)
            self._replace(changed)

    def forget(self, workspace: str) -> None:
        """Take every order about a workspace that exists no more out of the file."""
        with self._locked() as orders:
            suspended, budgets, days = dict(orders.suspended), dict(orders.budgets), dict(orders.today)
            suspended.pop(workspace, None)
            budgets.pop(workspace, None)
            days.pop(workspace, None)
            self._replace(Orders(suspended, budgets, days))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Orders]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("a") as lock:
            give_like_folder(self._path.with_suffix(".lock"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield parse_orders(self._path.read_bytes()) if self._path.exists() else Orders()

    def _replace(self, orders: Orders) -> None:
        body = {
            "suspended": dict(orders.suspended), "budgets": dict(orders.budgets),
            "today": {name: [once.day, once.budget] for name, once in orders.today.items()},
        }  # fmt: skip
        write_atomically(self._path, json.dumps(body, ensure_ascii=False, sort_keys=True).encode())


def parse_orders(text: bytes) -> Orders:
    """Return the orders written in `text`; raise `ControlsUnreadable` for any other shape."""
    try:
        body = json.loads(text)
        suspended = {str(name): str(reason) for name, reason in body["suspended"].items()}
        budgets = {str(name): int(budget) for name, budget in body["budgets"].items()}
        days = body.get("today", {}).items()  # Absent from files of earlier versions.
        today = {str(name): DayBudget(str(day), int(budget)) for name, (day, budget) in days}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ControlsUnreadable(f"cannot read the controls: {type(error).__name__} in the file's shape") from error
    return Orders(suspended, budgets, today)


def check_workspace_id(name: str) -> None:
    """Raise ValueError unless `name` can be a workspace's short name."""
    if not WORKSPACE_ID.fullmatch(name):
        raise ValueError(f"cannot use the workspace name {name!r}: 1 to 30 of a-z, 0-9 and inner - are accepted")


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` at `path` so that a reader sees the old file or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(number, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    give_like_folder(beside)
    beside.replace(path)
