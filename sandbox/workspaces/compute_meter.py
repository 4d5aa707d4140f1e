"""Puts what workspaces used into the usage log: each day once it is over, once, whatever is killed in between."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Protocol

from sandbox.workspaces.compute_store import COMPUTE_DAYS, ComputeDay
from shuzha.core.clock import city_date
from shuzha.core.errors import Unavailable
from shuzha.core.work import Database
from shuzha.metering.compute import ComputeUse

LOOK_BACK = dt.timedelta(days=62)
MOST_AT_ONCE = 500

log = logging.getLogger(__name__)


class Meter(Protocol):
    """The usage writer, as `shuzha.metering.client.UsageClient` reaches it."""

    async def record_compute(self, uses: list[ComputeUse]) -> int:
        """Return how many of these days were new, all on disk; a repeat changes nothing."""
        ...


class ComputeMeter:
    """Sends days that are over to the writer; what it sent is remembered here, and known to the writer for good."""

    def __init__(self, database: Database, meter: Meter) -> None:
        self._database = database
        self._meter = meter
        self._sent: set[str] = set()

    async def send_due(self) -> int:
        """Send what is over and not sent; return how many days were new to the log. A silent writer is asked later."""
        since = (city_date(self._database.clock.now()) - LOOK_BACK).isoformat()
        with self._database.read() as work:
            told = [one for one in work.list(COMPUTE_DAYS, told=True) if one.day >= since and one.id not in self._sent]
        new = 0
        for start in range(0, len(told), MOST_AT_ONCE):
            days = told[start : start + MOST_AT_ONCE]
            try:
                new += await self._meter.record_compute([_use_of(day) for day in days])
            except Unavailable as error:
                log.warning("what workspaces used is metered later: %s", error)
                return new
            self._sent.update(day.id for day in days)
        return new


def _use_of(day: ComputeDay) -> ComputeUse:
    return ComputeUse(
        workspace=day.workspace, operator=day.operator, authorization=day.authorization, grant=day.grant, day=day.day,
        cpu_milliseconds=day.cpu_milliseconds, memory_byte_seconds=day.memory_byte_seconds,
        storage_byte_seconds=day.storage_byte_seconds,
    )  # fmt: skip
