"""The words of settlement, and the values that a statement is made of: pure, canonical, the same on every machine.

A *fact* counts uses that are alike on one day. A *line* is what one consumer owes for one product under one plan: the
one place where money is rounded (`computing`). A *waived* line is priced and owed by nobody. A *correction* line is the
difference that late or reversed uses make to a line of a month already settled, which it names. An *adjustment* holds
back what exceeds the permitted revenue, or gives it out later. A *draft* is a computed statement; its canonical JSON
(`document`) is what is hashed, anchored in the audit log and computed again by a regulator, byte for byte.
"""

from __future__ import annotations

import calendar
import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from shuzha.core.clock import start_of_day
from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move
from shuzha.settlement.plans import Step

INFRASTRUCTURE = "infrastructure"
TAX = "tax"
CARRIED = "carried"
PARTIES = ("provider", "platform", "operator")
SHARED = (TAX, INFRASTRUCTURE, *PARTIES, CARRIED)
FORM = "shuzha/statement/2"
GRACE = dt.timedelta(minutes=1)


class StatementKind(StrEnum):
    """Whose view a statement is: what a consumer owes, how an authorization's income is shared, what an owner earns."""

    BILL = "bill"
    AUTHORIZATION = "authorization"
    PROVIDER = "provider"


class StatementState(StrEnum):
    """Where a statement stands; only an issued one is seen by those whom it is for."""

    DRAFT = "draft"
    HELD = "held"
    ISSUED = "issued"
    PAID = "paid"
    SETTLED = "settled"


_S = StatementState
STATEMENT = Lifecycle(
    "statement",
    StatementState,
    _S.DRAFT,
    [
        Move("approve", (_S.DRAFT, _S.HELD), _S.ISSUED, owner="consumer"),
        Move("hold", (_S.DRAFT,), _S.HELD, owner="authority"),
        Move("pay", (_S.ISSUED,), _S.PAID, owner="authority"),
        Move("reopen", (_S.PAID,), _S.ISSUED, owner="consumer"),
        Move("confirm", (_S.PAID,), _S.SETTLED),
    ],
)
SEEN = frozenset({_S.ISSUED, _S.PAID, _S.SETTLED})


class Waiver(StrEnum):
    """Why a line is waived: for its purpose, by its plan, or because a department verified (W25 art. 22)."""

    NONE = ""
    PURPOSE = "purpose"
    PLAN = "plan"
    DEPARTMENT = "department"


@dataclass(frozen=True, slots=True)
class UsageFact:
    """Counted uses; `first` and `last` are places in the usage log. `count` is less than 0 where reversals prevail."""

    consumer: str
    product: str
    code: str
    authorization: str
    price_hao: int
    waived: bool
    count: int
    first: int
    last: int
    day: dt.date | None = None
    purpose: str = ""
    claim: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a statement, money in fen.

    `amount` is priced, `due` is owed (0 when waived), of which `tax` is tax and `parts` is the whole split; `entries`
    splits the provider's part by raw entry. `corrects` names the settled month whose line it corrects, else empty.
    """

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
    tax_fen: int = 0
    plan: str = ""
    plan_type: str = "per_call"
    waiver: Waiver = Waiver.NONE
    corrects: str = ""
    purposes: dict[str, int] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, str, str, int, str]:
        """What makes two lines of one month the same line; lines stand in this order."""
        return self.consumer, self.code, self.product, self.authorization, self.plan, self.price_hao, self.waiver.value

    @property
    def net_fen(self) -> int:
        """What is owed without the tax."""
        return self.due_fen - self.tax_fen


@dataclass(frozen=True, slots=True)
class Cap:
    """The permitted revenue of an authorization over some months, VAT apart: cost less subsidy, profit, other taxes."""

    id: str
    authorization: str
    first_period: str
    last_period: str
    cost_fen: int
    subsidy_fen: int
    profit_fen: int
    tax_fen: int

    @property
    def permitted_fen(self) -> int:
        """The most that may be earned in these months."""
        return self.cost_fen - self.subsidy_fen + self.profit_fen + self.tax_fen

    def covers(self, period: str) -> bool:
        """Return whether a month is one of its months."""
        return self.first_period <= period <= self.last_period


@dataclass(frozen=True, slots=True)
class CapState:
    """An authorization's standing under a cap after a statement; `held` is what is held back, by party and entry.

    `counted` is the revenue of the cap's months so far with what was carried in, `released` what of it was shared.
    """

    cap: str
    permitted_fen: int
    counted_fen: int
    released_fen: int
    held: dict[str, int]
    held_entries: dict[str, int]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Money held back over the cap (`held`), or held money given out (`released`): parts that sum to 0 with it."""

    kind: str
    amount_fen: int
    parts: dict[str, int]
    entries: dict[str, int]


@dataclass(frozen=True, slots=True)
class Draft:
    """A computed statement of a consumer, authorization or provider; `digest` is the hash of its document.

    `inputs` is the hash of the prices and agreements used, `log_size` how many entries of the usage log were counted.
    """

    kind: StatementKind
    period: str
    subject: str
    lines: tuple[Line, ...]
    amount_fen: int
    due_fen: int
    waived_fen: int
    shares: dict[str, int]
    digest: str = ""
    tax_fen: int = 0
    adjustments: tuple[Adjustment, ...] = ()
    cap: CapState | None = None
    inputs: str = ""
    log_size: int = 0

    @property
    def number(self) -> str:
        """The statement's number: the same on every machine that computes it."""
        return f"{self.period}/{self.kind.value}/{self.subject}"

    def document(self) -> bytes:
        """Return the canonical JSON that the digest is of: keys sorted, no spaces, equal content, equal bytes."""
        plain = msgspec.to_builtins(self, order="sorted")
        del plain["digest"]
        plain["type"] = FORM
        plain["number"] = self.number
        return msgspec.json.encode(plain, order="sorted")

    def computed_digest(self) -> str:
        """Return the SHA-256 of its document, in hex."""
        return hashlib.sha256(self.document()).hexdigest()

    @property
    def ordered_shares(self) -> dict[str, int]:
        """The shares in the order in which they come off: tax, infrastructure, the parties, what is carried."""
        return {party: self.shares[party] for party in SHARED if party in self.shares}

    @property
    def corrections(self) -> tuple[Line, ...]:
        """The lines that correct earlier months."""
        return tuple(line for line in self.lines if line.corrects)


@dataclass(frozen=True, slots=True)
class Settlement:
    """All statements of a period, and the sums that hold them together."""

    period: str
    statements: tuple[Draft, ...]

    def of(self, kind: StatementKind) -> tuple[Draft, ...]:
        """Return the statements of one kind."""
        return tuple(one for one in self.statements if one.kind is kind)

    def billed_uses(self) -> int:
        """Return how many uses stand on the bills, waived ones included, corrections of earlier months not."""
        return sum(line.count for one in self.of(StatementKind.BILL) for line in one.lines if not line.corrects)


def parse_period(text: str) -> tuple[dt.datetime, dt.datetime]:
    """Return the first moment of a city month and the first after it; refuses anything but `YYYY-MM`."""
    first, end = days_of(text)
    return start_of_day(first), start_of_day(end)


def days_of(period: str) -> tuple[dt.date, dt.date]:
    """Return the first day of a month and the first after it; refuses anything but `YYYY-MM`."""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", period) or period < "2000":
        raise Invalid("a settlement refuses this period", rule="settlement.period", accepted="YYYY-MM, such as 2026-03")
    year, month = int(period[:4]), int(period[5:])
    last = dt.date(year, month, calendar.monthrange(year, month)[1])
    return last.replace(day=1), last + dt.timedelta(days=1)


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


def merge_facts(facts: Iterable[UsageFact]) -> tuple[UsageFact, ...]:
    """Return the facts with equal grain joined: counts added, places widened."""
    found: dict[tuple[object, ...], UsageFact] = {}
    for fact in facts:
        key = (
            fact.consumer, fact.product, fact.code, fact.authorization, fact.price_hao, fact.waived, fact.day,
            fact.purpose, fact.claim, fact.kind,
        )  # fmt: skip
        before = found.get(key)
        found[key] = fact if before is None else _joined(before, fact)
    return tuple(found.values())


def _joined(one: UsageFact, other: UsageFact) -> UsageFact:
    return UsageFact(
        one.consumer, one.product, one.code, one.authorization, one.price_hao, one.waived, one.count + other.count,
        min(one.first, other.first), max(one.last, other.last), one.day, one.purpose, one.claim, one.kind,
    )  # fmt: skip
