"""How news travels: subscribers are joined in `shuzha.server`; every process hears of an event within a second.

A *follower* reads the outbox in order. A durable follower keeps its place in the database and sees each event at least
once, also after a crash (its handlers must bear a repeat); a live one starts at the newest event, for caches that load
their state when they start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

import sqlalchemy as sa

from shuzha.core.work import CURSORS, Database, Event

Handler = Callable[[Event], None]
POLL_SECONDS = 0.1

log = logging.getLogger(__name__)


class Follower:
    """Reads the outbox and calls the handlers of each event's tag (`*` hears all, `authorization:*` a noun's)."""

    def __init__(
        self, database: Database, handlers: Mapping[str, list[Handler]], *, durable_name: str | None = None
    ) -> None:
        self._database = database
        self._handlers = {tag: list(found) for tag, found in handlers.items()}
        self._name = durable_name
        self._place = self._load_place()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self) -> int:
        """Handle the events that are new and return how many; an event whose handler raises is tried again."""
        events = self._database.events_after(self._place)
        for event in events:
            for tag in ("*", event.tag.split(":")[0] + ":*", event.tag):
                for handler in self._handlers.get(tag, ()):
                    handler(event)
            self._place = event.sequence
        if events and self._name:
            self._save_place()
        return len(events)

    def start(self) -> None:
        """Follow in a background thread until `stop`."""
        self._thread = threading.Thread(target=self._run, name=f"outbox-{self._name or 'live'}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the background thread and wait for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                busy = self.step()
            except Exception:  # The boundary of this thread: it is logged and the event is tried again.
                log.exception("a subscriber of the outbox failed after event %s; trying again", self._place)
                busy = 0
            if not busy:
                self._stop.wait(POLL_SECONDS)

    def _load_place(self) -> int:
        if self._name is None:
            return self._database.last_sequence()
        with self._database.engine.connect() as connection:
            statement = sa.select(CURSORS.c.sequence).where(CURSORS.c.consumer == self._name)
            return int(connection.execute(statement).scalar() or 0)

    def _save_place(self) -> None:
        with self._database.engine.connect() as connection, connection.begin():
            changed = connection.execute(
                sa.update(CURSORS).where(CURSORS.c.consumer == self._name).values(sequence=self._place)
            )
            if changed.rowcount == 0:
                connection.execute(sa.insert(CURSORS).values(consumer=self._name, sequence=self._place))
