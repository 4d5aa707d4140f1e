"""What the form of a scenario demand holds: read from its fields, and written back into them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Form

from policies import Hours, Narrowing, Period, Quota
from shuzha.authorization.agreement import Operation, OutputKind, Place, Term
from shuzha.authorization.model import DemandDraft
from shuzha.catalog.model import Element
from shuzha.core.errors import Invalid
from shuzha.portal.desk import parse
from shuzha.portal.forms import read_rows

DAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Limits:
    """Hours of use and a quota, as the fields of a form hold them; empty fields limit nothing."""

    opens: str = ""
    closes: str = ""
    working_days: bool = False
    quota: str = ""
    per: str = Period.DAY.value

    def hours(self) -> Hours | None:
        """Return the hours; None where the fields leave the whole of every day open. Refuses what is no time of day."""
        if not (self.opens or self.closes or self.working_days):
            return None
        closes = _minute(self.closes) if self.closes else DAY
        # A day ends at 24:00, which a field for times can only show as 00:00.
        return Hours(_minute(self.opens or "00:00"), closes or DAY, self.working_days)

    def uses(self) -> Quota | None:
        """Return the quota, None where there is none; refuses what is no whole number."""
        if not self.quota:
            return None
        if not (self.quota.isascii() and self.quota.isdigit()):
            raise Invalid(
                "a quota that cannot be counted", rule="scope.quota", accepted="a whole number, per day, month or term",
                field="quota",
            )  # fmt: skip
        return Quota(int(self.quota), parse(Period, self.per))


def shown_limits(content: DemandDraft | None) -> Limits:
    """Return the fields that say a demand's hours and quota."""
    hours = content.hours if content else None
    quota = content.quota if content else None
    return Limits(
        opens=_clock(hours.opens) if hours else "", closes=_clock(hours.closes) if hours else "",
        working_days=bool(hours and hours.working_days), quota=str(quota.limit) if quota else "",
        per=quota.per.value if quota else Period.DAY.value,
    )  # fmt: skip


def read_limits(
    opens: Annotated[str, Form()] = "", closes: Annotated[str, Form()] = "",
    working_days: Annotated[bool, Form()] = False, quota: Annotated[str, Form()] = "",
    per: Annotated[str, Form()] = Period.DAY.value,
) -> Limits:  # fmt: skip
    """Return what the form says of hours and quota."""
    return Limits(opens.strip(), closes.strip(), working_days, quota.strip(), per)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form of a demand holds, as text."""

    scenario: str
    value: str
    term: Term
    columns: tuple[str, ...]
    operations: tuple[str, ...]
    output_kinds: tuple[str, ...]
    purposes: tuple[str, ...]
    places: tuple[str, ...]
    rows: str
    joins: tuple[str, ...] = ()

    def draft(
        self, authorization: str, entry: str, elements: Iterable[Element], limits: Limits,
        narrowed: Sequence[Narrowing] = (),
    ) -> DemandDraft:  # fmt: skip
        """Return the demand that the form asks for; refuses words and values that no demand has.

        `narrowed` is what the form does not show and a change of the draft keeps.
        """
        return DemandDraft(
            authorization, entry, self.scenario, self.value, self.columns,
            tuple(parse(Operation, each) for each in self.operations),
            tuple(parse(OutputKind, each) for each in self.output_kinds), self.purposes, self.term,
            read_rows(self.rows, elements), tuple(parse(Place, each) for each in self.places), self.joins,
            limits.hours(), limits.uses(), tuple(narrowed),
        )  # fmt: skip


def read_asked(
    scenario: Annotated[str, Form()], value: Annotated[str, Form()], valid_from: Annotated[dt.date, Form()],
    valid_until: Annotated[dt.date, Form()], columns: Annotated[list[str], Form()] = [],  # noqa: B006
    operations: Annotated[list[str], Form()] = [], output_kinds: Annotated[list[str], Form()] = [],  # noqa: B006
    purposes: Annotated[list[str], Form()] = [], places: Annotated[list[str], Form()] = [],  # noqa: B006
    rows: Annotated[str, Form()] = "", joins: Annotated[list[str], Form()] = [],  # noqa: B006
) -> Asked:  # fmt: skip
    """Return what the form of a demand holds."""
    return Asked(
        scenario, value, Term(valid_from, valid_until), tuple(columns), tuple(operations), tuple(output_kinds),
        tuple(purposes), tuple(places), rows, tuple(joins),
    )  # fmt: skip


def _minute(text: str) -> int:
    try:
        time = dt.time.fromisoformat(text)
    except ValueError as error:
        raise Invalid(
            "hours that are no part of a day",
            rule="scope.hours",
            accepted="two times of a day, such as 08:30 and 18:00",
            field="opens",
        ) from error
    return time.hour * 60 + time.minute


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02d}:{minute % 60:02d}"
