"""Following a build: how far it is, in a small file beside the index, and the wish that it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shuzha.core.errors import Conflict

PROGRESS, CANCEL, LOCK = ".progress.json", ".cancel", ".lock"
EVERY = 0.5

Say = Callable[[str, int, int], None]


class BuildProgress(msgspec.Struct, frozen=True):
    """How far a build is: `done` of `total` of a stage (`read` rows, `sort` or `update` segments)."""

    stage: str
    done: int
    total: int
    seconds: float


class BuildCancelled(Conflict):
    """Somebody asked the build to end; the index is as it was."""


class FolderWatch:
    """Writes progress beside the index twice a second, and ends the build when asked to."""

    def __init__(self, folder: Path, say: Say | None = None) -> None:
        self._folder = folder
        self._say = say
        self._started = self._told = time.monotonic()
        self._stage = ""

    def step(self, stage: str, done: int, total: int) -> None:
        """Hear that so much of a stage is done; raises BuildCancelled where somebody asked for the end."""
        if self._say is not None:
            self._say(stage, done, total)
        now = time.monotonic()
        if now - self._told < EVERY and stage == self._stage:
            return
        self._told, self._stage = now, stage
        if (self._folder / CANCEL).exists():
            raise BuildCancelled("the build was cancelled; the index is as it was", rule="index.cancelled")
        progress = BuildProgress(stage, done, total, round(now - self._started, 1))
        half = self._folder / f"{PROGRESS}.half"
        half.write_bytes(msgspec.json.encode(progress))
        half.replace(self._folder / PROGRESS)


@contextmanager
def building(folder: Path, say: Say | None = None) -> Iterator[FolderWatch]:
    """Hold the builds of a product alone, among all processes of this host, and follow one; another one waits."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        (folder / CANCEL).unlink(missing_ok=True)
        yield FolderWatch(folder, say)
    finally:
        for name in (PROGRESS, CANCEL, f"{PROGRESS}.half"):
            (folder / name).unlink(missing_ok=True)
        os.close(handle)


def is_building(folder: Path) -> bool:
    """Return whether a build of the product runs now."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def read_progress(folder: Path) -> BuildProgress | None:
    """Return how far the running build is; None where none runs, or it has not said yet."""
    if not is_building(folder):
        return None
    try:
        return msgspec.json.decode((folder / PROGRESS).read_bytes(), type=BuildProgress)
    except FileNotFoundError:
        return None


def ask_to_end(folder: Path) -> None:
    """Ask the running build to end; refuses where none runs."""
    if not is_building(folder):
        raise Conflict("no build runs", rule="index.cancel", accepted="a build that runs")
    (folder / CANCEL).touch()
