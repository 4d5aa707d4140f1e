"""Which events apps are told of by webhooks: the rooms' events, made into notices and handed to the job queue."""

from __future__ import annotations

from products.consumers.delivering import DELIVER
from products.consumers.noticing import TAGS
from products.consumers.webhook_model import Notice, NoticeType
from shuzha.core.outbox import Handler
from shuzha.core.work import Event
from shuzha.server.platform import Platform
from shuzha.settlement.model import StatementKind
from shuzha.settlement.store import STATEMENTS

ISSUED = "statement:approve"


def notice_handlers(platform: Platform) -> dict[str, list[Handler]]:
    """Return who makes notices of which events."""

    def tell(event: Event) -> None:
        send(platform, platform.notices.of(event))

    def bill(event: Event) -> None:
        send(platform, _bill(platform, event))

    return {**{tag: [tell] for tag in TAGS}, ISSUED: [bill]}


def tell_due(platform: Platform) -> None:
    """Make the notices that the clock and the meter ask for, and ask for the attempts that are due."""
    send(platform, platform.notices.due())
    for delivery in platform.deliveries.list_due():
        platform.jobs.enqueue(DELIVER, delivery)


def send(platform: Platform, notices: tuple[Notice, ...]) -> None:
    """Store notices for the webhooks that want them, and ask for their first attempts."""
    for delivery in platform.deliveries.announce(notices):
        platform.jobs.enqueue(DELIVER, delivery)


def _bill(platform: Platform, event: Event) -> tuple[Notice, ...]:
    with platform.database.read() as work:
        found = work.find(STATEMENTS, event.subject)
    if found is None or found.kind is not StatementKind.BILL:
        return ()
    told = {"statement": found.id, "number": found.number, "period": found.period, "due_fen": found.due_fen}
    return (Notice(NoticeType.STATEMENT_ISSUED, found.organisation, event.id, told),)
