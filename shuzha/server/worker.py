"""The worker: it runs jobs, feeds the audit log, obeys suspensions, and answers the workspaces' sockets. One a host."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator

from sandbox.workspaces.clean_room.specs import specs_of
from sandbox.workspaces.computing import READ_SECONDS
from sandbox.workspaces.noting import FOLLOWED_TAGS
from sandbox.workspaces.platform_socket import PlatformSockets
from sandbox.workspaces.records.controls import ControlsWriter
from shuzha.core.errors import Conflict
from shuzha.core.logs import start_logging
from shuzha.core.outbox import Follower
from shuzha.core.settings import load_settings
from shuzha.core.work import Event
from shuzha.ledger.audit import open_audit_log
from shuzha.server import schema
from shuzha.server.platform import Platform
from shuzha.server.subscriptions import (
    BUILD_INDEX,
    BUILD_RELEASE,
    INGEST,
    cache_handlers,
    job_handlers,
    register_jobs,
    suspension_handlers,
)

CLOCK_SECONDS = 5.0
WATCH_SECONDS = 30.0

log = logging.getLogger(__name__)


@contextlib.contextmanager
def running(platform: Platform) -> Iterator[None]:
    """Run everything of the worker but the sockets while the block lasts."""
    ControlsWriter(platform.hub_settings.controls).start()
    specs_of(platform.hub_settings).clear()
    audit = open_audit_log(platform.settings.data, platform.keys, platform.clock)
    audit.catch_up(platform.database)
    audit.start()
    register_jobs(platform)
    platform.workspaces.reconcile()
    platform.screens.restore_orders()
    platform.catalog.aggregation.sweep_inbox()
    for batch in platform.catalog.aggregation.list_unfinished():
        platform.jobs.enqueue(INGEST, batch)
    for release in platform.releases.list_unfinished():
        platform.jobs.enqueue(BUILD_RELEASE, release)
    platform.indexes.sweep()
    for product in platform.indexes.list_unfinished():
        platform.jobs.enqueue(BUILD_INDEX, product)
    platform.deliveries.forget_old()
    platform.inbound.sweep()
    for job, request in platform.inbound.list_unfinished():
        platform.jobs.enqueue(job, request)

    def record(event: Event) -> None:
        audit.record(event)

    followers = [
        Follower(platform.database, cache_handlers(platform.policies)),
        Follower(platform.database, {"*": [record]}, durable_name="audit"),
        Follower(platform.database, suspension_handlers(platform), durable_name="suspension"),
        Follower(platform.database, job_handlers(platform), durable_name="jobs"),
        Follower(platform.database, {tag: [platform.notes.heard] for tag in FOLLOWED_TAGS}),
    ]
    for follower in followers:
        follower.start()
    consumer = platform.jobs.start_consumer(workers=2)
    try:
        yield
    finally:
        consumer.stop(graceful=True)
        for follower in followers:
            follower.stop()
        audit.close()


async def serve(platform: Platform) -> None:
    """Work until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    mark = platform.settings.folder("run") / "worker.ready"
    sockets = PlatformSockets(platform.hub_settings.runtime, platform.verbs)
    with running(platform):
        endless = (
            sockets.follow(platform.verbs.sockets), platform.notes.follow(), _tick(platform), _count(platform),
            _watch(platform),
        )  # fmt: skip
        tasks = [asyncio.create_task(one) for one in endless]
        mark.touch()
        try:
            await stopped.wait()
        finally:
            mark.unlink(missing_ok=True)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _tick(platform: Platform) -> None:
    """Do what the clock asks for: end terms that are over, and what follows from it."""
    while True:
        try:
            await asyncio.to_thread(platform.authorization.expire_due, platform.actor("clock"))
            await asyncio.to_thread(platform.authorization.remind_due, platform.actor("clock"))
            await asyncio.to_thread(platform.workspaces.reconcile)
            await asyncio.to_thread(platform.screens.record_due)
            await asyncio.to_thread(platform.exits.carry_on)
            for register in (platform.registry, platform.resources):
                await asyncio.to_thread(register.expire_due, platform.actor("registry"))
                await asyncio.to_thread(register.remind_due, platform.actor("registry"))
        except Exception:  # The boundary of this task: one bad moment must not stop the clock of all terms.
            log.exception("what the clock asks for could not be done; trying again")
        await asyncio.sleep(CLOCK_SECONDS)


async def _count(platform: Platform) -> None:
    """Book what workspaces used, and end sessions that are over: beside the clock, since a jailer may be slow."""
    while platform.settings.spawner == "bwrap":
        try:
            await asyncio.to_thread(platform.compute.read_accounts)
            await platform.compute_meter.send_due()
            await asyncio.to_thread(platform.sessions.end_due)
        except Exception:  # The boundary of this task: it is logged and tried again.
            log.exception("what workspaces used could not be booked; trying again")
        await asyncio.sleep(READ_SECONDS)


async def _watch(platform: Platform) -> None:
    """Look for what is odd in use, each half minute: beside the clock, since many new entries take a while to count."""
    while True:
        try:
            await asyncio.to_thread(platform.alerts.watch, platform.actor("watch"))
        except Exception:  # The boundary of this task: it is logged and tried again.
            log.exception("use could not be looked through for oddities; trying again")
        await asyncio.sleep(WATCH_SECONDS)


def main() -> None:
    """Run the worker with the settings that the environment names."""
    start_logging()
    platform = Platform(load_settings())
    schema.check_current(platform.database)
    (platform.settings.folder("run") / "worker.ready").unlink(missing_ok=True)
    try:
        asyncio.run(serve(platform))
    except Conflict as error:
        raise SystemExit(f"worker refused to start: {error}") from None


if __name__ == "__main__":
    main()
