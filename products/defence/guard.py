"""The defence in the path of a question: what is counted before an answer leaves, and what is refused.

A question counts when it is about to be answered and is given back if it was not, so that a retry is not counted twice.
Nothing here depends on whether the index knows a subject: what a caller can learn from a refusal is what it was told
itself, and that a subject was asked about often.
"""

from __future__ import annotations

import datetime as dt
import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from policies import Policies
from products.defence.counters import Column, Counters, Row, forget_old
from products.defence.model import Alarm, AlarmKind, AlarmState, ProductLimits
from products.defence.service import DefenceService
from products.defence.store import ALARMS, LIMITS
from shuzha.core.actor import platform_actor
from shuzha.core.clock import city_date, end_of_day
from shuzha.core.errors import ShuzhaError
from shuzha.core.work import Database, Event

_TOO_MANY_SUBJECTS = -1
_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)
log = logging.getLogger(__name__)


class Spent(NamedTuple):
    """Why a question is refused: a stable code, a sentence, the rule, and what would be accepted."""

    code: str
    detail: str
    rule: str
    accepted: str
    status: int = 429


_SUBJECTS = Spent(
    "asks_spent", "the asks of the day are used up: about new subjects, or about this one", "product.limits",
    "tomorrow, or a subject that was asked about before",
)  # fmt: skip
_BUDGET = Spent(
    "key_stopped", "too many answers of this key were `no_match`: it is stopped until the alarm is resolved",
    "product.limits", "a decision of the operating unit or the data authority", 403,
)  # fmt: skip
REFUSALS = {
    AlarmKind.DISTINCT_SUBJECTS: _SUBJECTS, AlarmKind.SUBJECT_ASKS: _SUBJECTS, AlarmKind.NEGATIVES: _BUDGET,
}  # fmt: skip


Asked = tuple[Counters, Row, bytes, int, bool]
"""What one question counted, so that it can be given back."""
Wish = tuple[str, str, AlarmKind, dt.date, int]


class Defence:
    """The counts of this process's calls, shared with its siblings on the host."""

    def __init__(self, database: Database, policies: Policies, folder: Path) -> None:
        self._database = database
        self._service = DefenceService(database, policies)
        self._folder = folder
        self._column: Column | None = None
        self._counters: Counters | None = None
        self._until = _NEVER
        self._rows: dict[tuple[str, str], Row] = {}
        self._limits: dict[str, ProductLimits] = {}
        self._stopped: dict[tuple[str, str], set[str]] = {}
        self._budgets: dict[tuple[str, str, dt.date], int] = {}
        self._raised: set[tuple[str, str, AlarmKind, dt.date, int]] = set()
        self._wishes: queue.SimpleQueue[Wish | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._raise_all, name="alarms", daemon=True)

    def load(self) -> None:
        """Read limits and alarms as they are now; what changes comes by `handlers`."""
        with self._database.read() as work:
            limits, alarms = work.list(LIMITS), work.list(ALARMS)
        self._limits = {one.id: one for one in limits}
        for alarm in alarms:
            self._put(alarm)

    def handlers(self) -> dict[str, list[Callable[[Event], None]]]:
        """Return what this listens to."""
        return {"product:limit": [self._limits_changed], "alarm:*": [self._alarm_changed]}

    def start(self) -> None:
        """Raise alarms in a thread of its own until `stop`: a question never waits for one."""
        self._thread.start()

    def stop(self) -> None:
        """Raise what is still to be raised, and end."""
        self._wishes.put(None)
        if self._thread.is_alive():
            self._thread.join(5)
        if self._counters is not None:
            self._counters.close()
        if self._column is not None:
            self._column.close()

    def take(self, key: str, product: str, subject: bytes, moment: dt.datetime, *, negative: bool) -> Asked | AlarmKind:
        """Count a question about a subject (its 16-byte key) and return it, or which limit refuses it."""
        counters = self._counters if moment < self._until else None
        if counters is None:
            counters = self._turn(moment)
        known = (key, product)
        row = self._rows.get(known)
        if row is None:
            row = self._rows[known] = counters.row(key, product)
        limits = self._limits.get(product, _DEFAULTS)
        if known in self._stopped:
            return AlarmKind.NEGATIVES
        negatives = counters.totals(row)[1]
        if negatives >= limits.negatives and negatives >= limits.negatives * (
            1 + self._budgets.get((key, product, counters.day), 0)
        ):
            return self._refuse(known, AlarmKind.NEGATIVES, limits.negatives)
        new = counters.ask(row, subject, limits.subject_asks, limits.asks_of_one_key, limits.distinct_subjects)
        if new < 0:
            if new == _TOO_MANY_SUBJECTS:
                return self._refuse(known, AlarmKind.DISTINCT_SUBJECTS, limits.distinct_subjects)
            return self._refuse(known, AlarmKind.SUBJECT_ASKS, limits.subject_asks)
        if new or negative:
            counters.add(row, new, negative)
        return counters, row, subject, new, negative

    def give_back(self, asked: Asked) -> None:
        """Take a question back that was not answered, or not for the first time."""
        counters, row, subject, new, negative = asked
        if counters is self._counters:  # Else it is of a day that is over.
            counters.forget(row, subject)
            counters.add(row, -new, -negative)

    def _turn(self, moment: dt.datetime) -> Counters:
        """Begin the counts of another day."""
        day = city_date(moment)
        if self._column is None:
            self._column = Column(self._folder)
        # Calls that are on their way may still hold the counts of yesterday: the collector closes them.
        self._counters = Counters(self._folder, day, self._column.number)
        self._until = end_of_day(day)
        self._rows.clear()
        self._raised = {one for one in self._raised if one[3] == day}
        forget_old(self._folder, day)
        return self._counters

    def _refuse(self, known: tuple[str, str], kind: AlarmKind, limit: int) -> AlarmKind:
        assert self._counters is not None
        day = self._counters.day
        mark = (*known, kind, day, self._budgets.get((*known, day), 0))
        if mark not in self._raised:
            self._raised.add(mark)
            self._wishes.put((*known, kind, day, limit))
        return kind

    def _raise_all(self) -> None:
        actor = platform_actor("defence")
        while (wish := self._wishes.get()) is not None:
            try:
                self._service.raise_alarm(actor, *wish)
            except ShuzhaError as error:
                # A sibling was faster, or the key is gone: what is refused stays refused by the counts.
                log.warning("an alarm about key %s was not raised: %s", wish[0], error)
            except Exception:  # The boundary of this thread: one alarm lost must not lose the next.
                log.exception("an alarm about key %s was not raised", wish[0])

    def _limits_changed(self, event: Event) -> None:
        with self._database.read() as work:
            found = work.find(LIMITS, event.subject)
        if found is not None:
            self._limits[found.id] = found

    def _alarm_changed(self, event: Event) -> None:
        with self._database.read() as work:
            found = work.find(ALARMS, event.subject)
        if found is not None:
            self._put(found)

    def _put(self, alarm: Alarm) -> None:
        if not alarm.stops:
            return
        known = (alarm.key, alarm.product)
        if alarm.state is AlarmState.OPEN:
            self._stopped.setdefault(known, set()).add(alarm.id)
            return
        waiting = self._stopped.get(known, set())
        waiting.discard(alarm.id)
        if not waiting:
            self._stopped.pop(known, None)
        day = (*known, alarm.day)
        self._budgets[day] = max(self._budgets.get(day, 0), alarm.round + 1)


_DEFAULTS = ProductLimits("")
