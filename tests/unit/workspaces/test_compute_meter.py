"""Days of workspaces reach the usage log once they are over, once, also when the writer is away for a while."""

from __future__ import annotations

import datetime as dt

from sandbox.workspaces.compute_meter import ComputeMeter
from sandbox.workspaces.compute_store import COMPUTE_DAYS, ComputeDay
from shuzha.core.actor import platform_actor
from shuzha.core.clock import FixedClock
from shuzha.core.errors import Unavailable
from shuzha.core.work import Database

NOW = dt.datetime(2026, 11, 23, 4, tzinfo=dt.UTC)


class AbsentWriter:
    """Is away when told to be; else keeps days by their ids."""

    def __init__(self):
        self.days = {}
        self.away = False

    async def record_compute(self, uses):
        if self.away:
            raise Unavailable("the usage writer is not running")
        new = [use for use in uses if use.id not in self.days]
        self.days.update((use.id, use) for use in new)
        return len(new)


def day(database, number, date, *, told=True):
    made = ComputeDay(
        f"cpd_{number}",
        f"wsp_{number}",
        "acc_1",
        "org_operator",
        "aut_1",
        "grt_1",
        date,
        1_500,
        2_000,
        3_000,
        NOW,
        told,
    )
    with database.work(platform_actor("compute-record")) as work:
        work.add(COMPUTE_DAYS, made)


async def test_days_that_are_over_are_sent_once_and_again_after_a_restart(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/records.db", FixedClock(NOW))
    database.create_tables()
    writer = AbsentWriter()
    meter = ComputeMeter(database, writer)
    day(database, 1, "2026-11-22")
    day(database, 2, "2026-11-23", told=False)
    day(database, 3, "2025-01-01")
    writer.away = True
    assert await meter.send_due() == 0
    writer.away = False
    assert await meter.send_due() == 1
    assert await meter.send_due() == 0
    assert list(writer.days) == ["cmp_wsp_1_2026-11-22"]
    assert writer.days["cmp_wsp_1_2026-11-22"].cpu_milliseconds == 1_500
    assert await ComputeMeter(database, writer).send_due() == 0
    assert len(writer.days) == 1
