"""Who listens to which event. A handler bears a repeat: a durable follower hears each event at least once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from policies import Policies
from sandbox.airlock import processing
from sandbox.inbound import working as inbound
from sandbox.workspaces import service as workspaces
from shuzha.authorization.holds import ORDERS
from shuzha.authorization.service import FORGET_TAGS, forget_ids
from shuzha.core.errors import ShuzhaError
from shuzha.core.outbox import Handler
from shuzha.core.work import Event
from shuzha.exits import service as exits
from shuzha.server.platform import Platform

INGEST = "catalog.ingest"
BUILD_RELEASE = "releases.build"
DESTROY_RELEASE = "releases.destroy"
BUILD_INDEX = "products.index"
END_TERMS = "authorization.expire"
HOLDING_TAGS = frozenset(f"authorization:{verb}" for verb in ("suspend", "hold", "terminate", "expire", "withdraw"))
"""After these no export request of the authorization goes on."""

log = logging.getLogger(__name__)

Handlers = Mapping[str, list[Handler]]


def cache_handlers(policies: Policies) -> Handlers:
    """Return what every process that decides listens to: changed rights leave its cache at once."""

    def forget(event: Event) -> None:
        for identifier in forget_ids(event):
            policies.forget(identifier)

    return {tag: [forget] for tag in FORGET_TAGS}


def register_jobs(platform: Platform) -> None:
    """Make every job of the platform known to its queue; each takes an id and bears a repeat."""
    jobs = {
        INGEST: platform.catalog.run_ingest,
        BUILD_RELEASE: platform.releases.run_build,
        DESTROY_RELEASE: platform.releases.run_destroy,
        "workspace.start": platform.workspaces.run_start,
        "workspace.stop": platform.workspaces.run_stop,
        processing.PROCESS: platform.airlock.process,
        processing.FINISH: platform.airlock.finish,
        inbound.READ: platform.inbound.read,
        inbound.SCREEN: platform.inbound.screen,
        inbound.ADMIT: platform.inbound.admit,
        BUILD_INDEX: platform.indexes.run_job,
    }
    for name, function in jobs.items():
        platform.jobs.register(name, _without_result(function))


def job_handlers(platform: Platform) -> Handlers:
    """Return which events ask for which job, with the event's subject."""
    ask = platform.jobs.enqueue

    def airlock(event: Event) -> None:
        asked = processing.job_for(event)
        if asked is not None:
            ask(*asked)

    def close_releases(event: Event) -> None:
        for grant in (event.subject, *event.data.get("grants", ())):
            platform.releases.destroy_all(platform.actor("releases"), str(grant), f"{event.tag} of {event.subject}")

    def refresh_indexes(event: Event) -> None:
        for product in platform.indexes.list_stale(str(event.data.get("entry", ""))):
            ask(BUILD_INDEX, product)

    simple = {
        "batch:receive": INGEST,
        "release:request": BUILD_RELEASE,
        "release:destroy": DESTROY_RELEASE,
        "product:list": BUILD_INDEX,
        "product:refit": BUILD_INDEX,
        **workspaces.JOBS,
        **inbound.JOBS,
    }
    handlers: dict[str, list[Handler]] = {tag: [_asks(ask, job)] for tag, job in simple.items()}
    handlers["export:*"] = [airlock]
    handlers["batch:ingest"] = [refresh_indexes]
    # Workspaces first: as long as one runs, it has the releases open.
    handlers["grant:close"] = [platform.workspaces.close_of_grant, close_releases, platform.inbound.follow]
    handlers["workspace:close"] = [platform.inbound.follow]
    handlers["workspace:close"] = [*handlers.get("workspace:close", ()), platform.screens.record_closed]
    handlers["workspace:close"] = [*handlers["workspace:close"], platform.compute.record_closed]
    handlers["alarm:raise"] = [platform.alerts.follow_alarm]
    handlers |= {tag: [platform.exits.follow] for tag in exits.FOLLOWED_TAGS}
    return handlers


def suspension_handlers(platform: Platform) -> Handlers:
    """Return what follows at once when data rights are held, restored or ended, or what was released is recalled."""

    def exports(event: Event) -> None:
        reason = str(event.data.get("reason", "")) or event.tag
        if event.tag in {"authorization:restore", "authorization:lift"}:
            if platform.rights.is_free(event.subject):
                platform.airlock.resume_all(event.subject, reason)
        elif event.tag in HOLDING_TAGS:
            platform.airlock.hold_all(event.subject, reason)

    follow = {tag: [platform.workspaces.follow] for tag in workspaces.FOLLOWED_TAGS}
    # A person who may not work any more loses his workspace too, whatever the sandbox still knows of him.
    orders: dict[str, list[Handler]] = {tag: [platform.rights.follow_order] for tag in ORDERS}
    orders["export:recall"] = [platform.registry.follow_recall, platform.orders.follow_recall]
    return {**orders, **follow, "authorization:*": [platform.workspaces.follow, exports]}


def _asks(ask: Callable[..., None], job: str) -> Handler:
    return lambda event: ask(job, event.subject)


def _without_result(function: Callable[[str], object]) -> Callable[..., None]:
    def run(identifier: str) -> None:
        try:
            function(identifier)
        except ShuzhaError as error:
            log.warning("%s refused %s: %s", getattr(function, "__name__", "job"), identifier, error)
            raise

    return run
