"""How a month's usage becomes statements: pure, so that a regulator can run it again on the log.

Words. A *fact* counts the uses of one product by one consumer at one price, waived or not, with the first and last
place of them in the usage log. A *line* is a fact with its amount: the only rounding (`core.money.line_amount`). A
waived line (计价免费) is priced and then waived: its amount is shown and nobody owes it. Each line is split on its own
(infrastructure first, then the agreement's shares, both by largest remainder), so every total is a sum of lines and
all of them agree.
"""

from __future__ import annotations

import calendar
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from shuzha.core.clock import start_of_day
from shuzha.core.errors import Invalid
from shuzha.core.money import Amount, Price, line_amount, split

INFRASTRUCTURE = "infrastructure"
PARTIES = ("provider", "platform", "operator")
WHOLE = 10_000
GRACE = dt.timedelta(minutes=1)


class StatementKind(StrEnum):
    """Whose view a statement is: what a consumer owes, how an authorization's income is shared, what an owner earns."""

    BILL = "bill"
    AUTHORIZATION = "authorization"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class UsageFact:
    """Counted uses; `first` and `last` are places in the usage log."""

    consumer: str
    product: str
    code: str
    authorization: str
    price_hao: int
    waived: bool
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a product's agreement says about money, in basis points, and which organisation is which party."""

    authorization: str
    infrastructure: int
    shares: Mapping[str, int]
    organisations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a statement: `amount` is priced, `due` is owed (0 when waived), `parts` are its split; all in fen."""

    consumer: str
    product: str
    code: str
    authorization: str
    price_hao: int
    count: int
    waived: bool
    amount_fen: int
    due_fen: int
    parts: dict[str, int]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A computed statement of a consumer, authorization or provider; `digest` is the hash of all the rest."""

    kind: StatementKind
    period: str
    subject: str
    lines: tuple[Line, ...]
    amount_fen: int
    due_fen: int
    waived_fen: int
    shares: dict[str, int]
    digest: str = ""

    def computed_digest(self) -> str:
        """Return the hash of the statement's content in canonical JSON: equal content, equal bytes."""
        plain = msgspec.to_builtins(self, order="sorted")
        del plain["digest"]
        return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


@dataclass(frozen=True, slots=True)
class Settlement:
    """All statements of a period, and the sums that hold them together."""

    period: str
    statements: tuple[Draft, ...]

    def of(self, kind: StatementKind) -> tuple[Draft, ...]:
        """Return the statements of one kind."""
        return tuple(one for one in self.statements if one.kind is kind)

    def billed_uses(self) -> int:
        """Return how many uses stand on the bills, waived ones included."""
        return sum(line.count for one in self.of(StatementKind.BILL) for line in one.lines)


def parse_period(text: str) -> tuple[dt.datetime, dt.datetime]:
    """Return the first moment of a city month and the first after it; refuses anything but `YYYY-MM`."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) or text < "2000":
        raise Invalid("a settlement refuses this period", rule="settlement.period", accepted="YYYY-MM, such as 2026-03")
    year, month = int(text[:4]), int(text[5:])
    last = dt.date(year, month, calendar.monthrange(year, month)[1])
    return start_of_day(last.replace(day=1)), start_of_day(last + dt.timedelta(days=1))


def check_month_over(period: str, now: dt.datetime) -> None:
    """Refuse to settle a month that is not over: its statement would change.

    A call that was answered in the last second may reach the disk a little later, hence the minute.
    """
    end = parse_period(period)[1] + GRACE
    if now < end:
        raise Invalid(
            f"cannot settle {period}: the month is not over", rule="settlement.unfinished",
            accepted=f"from {end.isoformat()} on, or a statement `so far` that is not stored", code="period_unfinished",
        )  # fmt: skip


def check_terms(terms: Terms) -> None:
    """Refuse shares that do not sum to the whole, and a party without an organisation."""
    if sum(terms.shares.values()) != WHOLE or any(share < 0 for share in terms.shares.values()):
        raise Invalid(f"the shares of {terms.authorization} do not sum to {WHOLE}", rule="settlement.shares")
    if not 0 <= terms.infrastructure < WHOLE:
        raise Invalid(
            f"the infrastructure rate of {terms.authorization} is out of range", rule="settlement.infrastructure"
        )
    for party in terms.shares:
        if not terms.organisations.get(party):
            raise Invalid(f"the agreement of {terms.authorization} shares with a party `{party}` that nobody is")


def make_line(fact: UsageFact, terms: Terms) -> Line:
    """Return a fact as a line: rounded once, infrastructure first, the rest shared; the parts sum to `due_fen`."""
    amount = line_amount(Price(fact.price_hao), fact.count)
    due = Amount(0) if fact.waived else amount
    cost = split(due, {INFRASTRUCTURE: terms.infrastructure, "rest": WHOLE - terms.infrastructure})
    parts = {INFRASTRUCTURE: cost[INFRASTRUCTURE].fen}
    parts |= {party: part.fen for party, part in split(cost["rest"], terms.shares).items()}
    return Line(
        fact.consumer, fact.product, fact.code, fact.authorization, fact.price_hao, fact.count, fact.waived,
        amount.fen, due.fen, parts, fact.first, fact.last,
    )  # fmt: skip


def settle(period: str, facts: Iterable[UsageFact], terms: Mapping[str, Terms]) -> Settlement:
    """Return every statement of a period from its facts and the terms of each product; equal input gives equal bytes.

    Refuses a fact whose product has no terms. The order of the facts does not matter.
    """
    parse_period(period)
    for one in terms.values():
        check_terms(one)
    lines = []
    for fact in sorted(merge_facts(facts), key=_order):
        found = terms.get(fact.product)
        if found is None or found.authorization != fact.authorization:
            raise Invalid(
                f"usage of {fact.product} under {fact.authorization} has no agreement", rule="settlement.terms"
            )
        lines.append(make_line(fact, found))
    statements = [
        *_statements(period, StatementKind.BILL, _grouped(lines, lambda line: line.consumer)),
        *_statements(period, StatementKind.AUTHORIZATION, _grouped(lines, lambda line: line.authorization)),
        *_statements(
            period, StatementKind.PROVIDER,
            _grouped(lines, lambda line: terms[line.product].organisations["provider"]),
        ),
    ]  # fmt: skip
    return Settlement(period, tuple(statements))


def merge_facts(facts: Iterable[UsageFact]) -> tuple[UsageFact, ...]:
    """Return the facts with equal grain joined: counts added, places widened."""
    found: dict[tuple[str, str, str, str, int, bool], UsageFact] = {}
    for fact in facts:
        key = (fact.consumer, fact.product, fact.code, fact.authorization, fact.price_hao, fact.waived)
        before = found.get(key)
        if before is None:
            found[key] = fact
        else:
            found[key] = UsageFact(
                *key, before.count + fact.count, min(before.first, fact.first), max(before.last, fact.last)
            )
    return tuple(found.values())


def _order(fact: UsageFact) -> tuple[str, str, str, int, bool, str]:
    return fact.consumer, fact.code, fact.product, fact.price_hao, fact.waived, fact.authorization


def _grouped(lines: Iterable[Line], key: Callable[[Line], str]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(key(line), []).append(line)
    return found


def _statements(period: str, kind: StatementKind, groups: Mapping[str, list[Line]]) -> list[Draft]:
    return [_statement(period, kind, subject, tuple(groups[subject])) for subject in sorted(groups)]


def _statement(period: str, kind: StatementKind, subject: str, lines: tuple[Line, ...]) -> Draft:
    shares: dict[str, int] = {}
    for line in lines:
        for party, fen in line.parts.items():
            shares[party] = shares.get(party, 0) + fen
    draft = Draft(
        kind, period, subject, lines,
        amount_fen=sum(line.amount_fen for line in lines),
        due_fen=sum(line.due_fen for line in lines),
        waived_fen=sum(line.amount_fen - line.due_fen for line in lines),
        shares=shares,
    )  # fmt: skip
    return replace(draft, digest=draft.computed_digest())
