"""What is kept of computing: for each workspace and day what it used, and how far its account has been read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from shuzha.core.records import Noun
from shuzha.core.work import Work

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class ComputeDay:
    """What one workspace used on one day of the city, which the operating unit pays for.

    Processor time is in milliseconds; memory and disk in bytes times seconds, so that sums stay whole numbers. A day is
    `told` once it is over and in the audit log.
    """

    id: str
    workspace: str
    author: str
    operator: str
    authorization: str
    grant: str
    day: str
    cpu_milliseconds: int
    memory_byte_seconds: int
    storage_byte_seconds: int
    recorded_at: dt.datetime
    told: bool = False
    revision: int = 1


@dataclass(frozen=True, slots=True)
class LimitHits:
    """How often a workspace ran into one limit."""

    limit: str
    times: int


@dataclass(frozen=True, slots=True)
class ComputeMark:
    """How far the account of a workspace has been read into days: its epoch and its totals.

    `hits` are the limits that the workspace ran into so far, `storage_bytes` what its home took up at the last look.
    """

    id: str
    workspace: str
    epoch: str
    cpu_nanoseconds: int
    memory_byte_seconds: int
    storage_byte_seconds: int
    storage_bytes: int
    hits: tuple[LimitHits, ...]
    read_at: dt.datetime
    revision: int = 1


COMPUTE_DAYS: Noun[ComputeDay] = Noun(
    "compute_days", ComputeDay, unique=[("workspace", "day")], index=["workspace", "authorization", "day"]
)
COMPUTE_MARKS: Noun[ComputeMark] = Noun("compute_marks", ComputeMark, unique=[("workspace",)])


@dataclass(frozen=True, slots=True)
class Quantities:
    """Amounts of computing in the units that are paid for."""

    cpu_seconds: float = 0.0
    memory_gib_hours: float = 0.0
    storage_gib_days: float = 0.0


def add_up(days: Iterable[ComputeDay]) -> Quantities:
    """Return the amounts of some days together."""
    cpu = memory = storage = 0
    for day in days:
        cpu += day.cpu_milliseconds
        memory += day.memory_byte_seconds
        storage += day.storage_byte_seconds
    return Quantities(cpu / 1e3, memory / GIB / 3600, storage / GIB / 86400)


def find_compute_day(work: Work, workspace: str, day: str) -> ComputeDay | None:
    """Return what a workspace used on a day, or None."""
    return next(iter(work.list(COMPUTE_DAYS, workspace=workspace, day=day)), None)


def find_mark(work: Work, workspace: str) -> ComputeMark | None:
    """Return how far the account of a workspace has been read, or None."""
    return next(iter(work.list(COMPUTE_MARKS, workspace=workspace)), None)
