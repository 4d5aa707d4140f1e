"""The final settlement of an authorization: every month in which it was used has its statement, as the log gives it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.core.actor import platform_actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Conflict, Invalid
from shuzha.core.work import Database
from shuzha.exits.model import Exit, Settled, months_between
from shuzha.settlement.model import Draft, StatementKind, check_month_over
from shuzha.settlement.service import SettlementService
from shuzha.settlement.store import Statement

_One = TypeVar("_One", Draft, Statement)


@dataclass(frozen=True, slots=True)
class FinalSettlement:
    """Settles what is left to settle of an authorization."""

    database: Database
    settlement: SettlementService

    def run(self, found: Exit) -> tuple[tuple[Settled, ...], str]:
        """Return the final statements by month, and what is waited for; the second is empty where all are final.

        A month is final when it is over, settled, and its statement is byte for byte what the usage log gives.
        """
        with self.database.read() as work:
            first = work.get(AUTHORIZATIONS, found.authorization).applied_at
            last = work.now()
        settled = []
        months = months_between(city_date(first), city_date(last))
        if self._unfinished(found.authorization, months[-1], last):
            return (), f"the month {months[-1]} is not over"
        for period in months:
            try:
                one = self._final(found.authorization, period)
            except Invalid as error:
                if error.code != "period_unfinished":
                    raise
                return (), f"the month {period} is not over"
            except Conflict as error:
                return (), f"the month {period}: {error.message}"
            if one is not None:
                settled.append(one)
        return tuple(settled), ""

    def _unfinished(self, authorization: str, period: str, now: dt.datetime) -> bool:
        """Return whether the newest month has to be waited for; then nothing else is counted."""
        try:
            check_month_over(period, now)
        except Invalid:
            return _of(self.settlement.so_far(platform_actor("exit"), period).statements, authorization) is not None
        return False

    def _final(self, authorization: str, period: str) -> Settled | None:
        actor = platform_actor("exit")
        draft = _of(self.settlement.so_far(actor, period).statements, authorization)
        if draft is None:
            return None
        statement = _of(self.settlement.list_statements(actor, period=period), authorization)
        if statement is None:
            statement = _of(self.settlement.settle(actor, period), authorization)
        counted = _of(self.settlement.recount(actor, period).settlement.statements, authorization)
        if statement is None or counted is None or statement.digest != counted.digest:
            raise Conflict(f"the statement of {period} is not what the usage log gives", rule="settlement.log")
        return Settled(
            period, statement.id, statement.digest, statement.due_fen, statement.waived_fen, dict(statement.shares)
        )


def _of(found: Iterable[_One], authorization: str) -> _One | None:
    wanted = (one for one in found if one.kind is StatementKind.AUTHORIZATION and one.subject == authorization)
    return next(wanted, None)
