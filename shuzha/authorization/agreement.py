"""The agreement of an authorization, structured by the content list of J23 art. 4, so that software can hold to it.

Words: a *clause* is one numbered piece of it, which a decision cites. A *term* is given in days of the city, both
included. An *allocation* shares what is left of the income after the *infrastructure rate*; both in basis points
(1/100 of a percent), so that they are integers and sum exactly.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType

import msgspec

from shuzha.core.clock import end_of_day, start_of_day
from shuzha.core.errors import Invalid
from shuzha.core.money import Amount

WHOLE = 10_000
MAX_FIXED_FEN = 10**12
STRICT = {"extra": "forbid"}  # An API body with a misspelt field is refused, not read past.
CONTENT_RULE = "J23 art. 4"


class OutputKind(StrEnum):
    """The five forms of a product (J23 art. 4(3))."""

    COMPONENT = "component"
    MODEL = "model"
    VERIFICATION = "verification"
    SERVICE = "service"
    REPORT = "report"


class Operation(StrEnum):
    """What a grant may allow on the columns it names."""

    VIEW = "view"
    AGGREGATE = "aggregate"
    JOIN = "join"
    TRAIN = "train"
    VERIFY = "verify"


class Place(StrEnum):
    """Where granted data may be used: inside a workspace, or behind the consumer API."""

    WORKSPACE = "workspace"
    API = "api"


@dataclass(frozen=True, slots=True)
class Term:
    """From one city day to another, both included."""

    __pydantic_config__ = STRICT
    valid_from: dt.date
    valid_until: dt.date

    def start(self) -> dt.datetime:
        """Return the first moment, in UTC."""
        return start_of_day(self.valid_from)

    def end(self) -> dt.datetime:
        """Return the first moment after the term, in UTC."""
        return end_of_day(self.valid_until)

    def contains(self, other: Term) -> bool:
        """Return whether the other term lies inside this one."""
        return self.valid_from <= other.valid_from and other.valid_until <= self.valid_until


@dataclass(frozen=True, slots=True)
class Allocation:
    """How the income that is left is shared, in basis points of the three roles; they sum to 10,000."""

    __pydantic_config__ = STRICT
    provider: int
    platform: int
    operator: int

    def shares(self) -> dict[str, int]:
        """Return the shares by role."""
        return {"provider": self.provider, "platform": self.platform, "operator": self.operator}


@dataclass(frozen=True, slots=True)
class FixedSum:
    """A sum of fen that a party gets first of each month's income."""

    __pydantic_config__ = STRICT
    party: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class IncomeBand:
    """How a month's income behind the fixed sums is shared up to `up_to_fen`."""

    __pydantic_config__ = STRICT
    up_to_fen: int
    allocation: Allocation


@dataclass(frozen=True, slots=True)
class Income:
    """How income is calculated and allocated; the infrastructure rate is taken from it first (J23 art. 17).

    What is left runs down a waterfall: `fixed` sums, then `bands` that rise, then the `allocation`.
    """

    __pydantic_config__ = STRICT
    calculation: str
    infrastructure_rate: int
    allocation: Allocation
    fixed: tuple[FixedSum, ...] = ()
    bands: tuple[IncomeBand, ...] = ()

    def said(self) -> str:
        """Return the allocation in words: fixed sums, bands, shares."""
        parts = [f"first {one.party} {Amount(one.amount_fen).yuan()} yuan a month" for one in self.fixed]
        parts += [f"up to {Amount(one.up_to_fen).yuan()} yuan a month {_said(one.allocation)}" for one in self.bands]
        return "; ".join([*parts, _said(self.allocation)])


@dataclass(frozen=True, slots=True)
class Clause:
    """One numbered piece of an agreement; `part` names it for software, `article` is the rule that asks for it."""

    number: str
    part: str
    title_zh: str
    title_en: str
    text: str
    article: str

    def citation(self) -> str:
        """Return clause and article, as a decision quotes them."""
        return f"clause {self.number} ({self.article})"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is authorized, how long, for what, who earns what, and how it ends."""

    __pydantic_config__ = STRICT
    entries: tuple[str, ...]
    term: Term
    purposes: tuple[str, ...]
    operations: tuple[Operation, ...]
    output_kinds: tuple[OutputKind, ...]
    income: Income
    rights_and_duties: str
    security: str
    exit: str
    asset_disposal: str

    def clauses(self) -> tuple[Clause, ...]:
        """Return the numbered clauses, in order; the numbers are the same in every agreement."""
        texts = self._texts()
        return tuple(Clause(number, part, zh, en, texts[part], article) for number, part, zh, en, article in _HEADS)

    def clause(self, part: str) -> Clause:
        """Return the clause of one part, such as `entries` or `allocation`."""
        return next(clause for clause in self.clauses() if clause.part == part)

    def _texts(self) -> Mapping[str, str]:
        return {
            "entries": ", ".join(self.entries),
            "purposes": "; ".join(self.purposes),
            "operations": ", ".join(self.operations),
            "output_kinds": ", ".join(self.output_kinds),
            "term": f"{self.term.valid_from.isoformat()} / {self.term.valid_until.isoformat()}",
            "calculation": self.income.calculation,
            "infrastructure": percent(self.income.infrastructure_rate),
            "allocation": self.income.said(),
            "rights_and_duties": self.rights_and_duties,
            "security": self.security,
            "exit": self.exit,
            "asset_disposal": self.asset_disposal,
        }


_HEADS = (
    ("1.1", "entries", "授权数据范围", "scope: entries", CONTENT_RULE),
    ("1.2", "purposes", "使用目的", "scope: purposes", "J23 art. 16"),
    ("1.3", "operations", "处理方式", "scope: operations", CONTENT_RULE),
    ("1.4", "output_kinds", "产品形态", "scope: forms of product", "J23 art. 4(3)"),
    ("2", "term", "授权期限", "term", "J23 art. 10(5)"),
    ("3.1", "calculation", "合理收益计算", "calculation of income", CONTENT_RULE),
    ("3.2", "infrastructure", "基础设施使用费", "infrastructure fee", "J23 art. 17"),
    ("3.3", "allocation", "收益分配", "allocation of income", CONTENT_RULE),
    ("4", "rights_and_duties", "权利与义务", "rights and duties", CONTENT_RULE),
    ("5", "security", "安全要求", "security", CONTENT_RULE),
    ("6", "exit", "退出机制", "exit", CONTENT_RULE),
    ("7", "asset_disposal", "期满资产处置", "disposal of assets after the term", CONTENT_RULE),
)
PARTS: Mapping[str, str] = MappingProxyType({part: number for number, part, *_ in _HEADS})


def _said(allocation: Allocation) -> str:
    return ", ".join(f"{role} {percent(share)}" for role, share in allocation.shares().items())


def percent(basis_points: int) -> str:
    """Return basis points as a percentage with two places, for people."""
    return f"{basis_points // 100}.{basis_points % 100:02d}%"


def check_agreement(agreement: Agreement, cap_years: int, cap_source: str) -> None:
    """Refuse an agreement that lacks a content item, outlasts the cap, or whose shares do not sum to the whole."""
    _check_lists(agreement)
    _check_term(agreement.term, cap_years, cap_source)
    _check_income(agreement.income)
    for part, text in (
        ("calculation", agreement.income.calculation), ("rights_and_duties", agreement.rights_and_duties),
        ("security", agreement.security), ("exit", agreement.exit), ("asset_disposal", agreement.asset_disposal),
    ):  # fmt: skip
        if not text.strip():
            raise Invalid(
                f"the agreement leaves clause {PARTS[part]} `{part}` empty", rule=CONTENT_RULE, accepted="its text"
            )


def _check_lists(agreement: Agreement) -> None:
    for part in ("entries", "purposes", "operations", "output_kinds"):
        values: tuple[str, ...] = getattr(agreement, part)
        if not values or any(not value.strip() for value in values):
            raise Invalid(f"the agreement names no {part}", rule=CONTENT_RULE, accepted="at least one", field=part)
        if len(set(values)) != len(values):
            raise Invalid(f"the agreement names one of its {part} twice", rule=CONTENT_RULE, field=part)


def _check_term(term: Term, cap_years: int, cap_source: str) -> None:
    if term.valid_until < term.valid_from:
        raise Invalid(
            "the term ends before it starts", rule="agreement.term", accepted="first day, then last day",
            field="valid_until",
        )  # fmt: skip
    if term.valid_from.year + cap_years > dt.MAXYEAR:
        raise Invalid(
            "the term starts on a day that cannot be counted with", rule="agreement.term", accepted="its days",
            field="valid_from",
        )  # fmt: skip
    last = anniversary(term.valid_from, cap_years) - dt.timedelta(days=1)
    if term.valid_until > last:
        raise Invalid(
            f"the term ends on {term.valid_until.isoformat()}, after the cap of {cap_years} years",
            rule=cap_source, accepted=f"a last day up to {last.isoformat()}", field="valid_until",
        )  # fmt: skip


def _check_income(income: Income) -> None:
    for allocation in (income.allocation, *(band.allocation for band in income.bands)):
        shares = allocation.shares()
        if any(share < 0 for share in shares.values()) or sum(shares.values()) != WHOLE:
            raise Invalid(
                f"the allocation sums to {sum(shares.values())} basis points",
                rule="agreement.allocation", accepted="shares of 0 or more that sum to 10000", field="operator",
            )  # fmt: skip
    for one in income.fixed:
        if one.party not in income.allocation.shares() or not 0 < one.amount_fen <= MAX_FIXED_FEN:
            raise Invalid(
                "a fixed sum of the agreement is refused", rule="agreement.allocation",
                accepted="provider, platform or operator, and a sum of more than 0", field="fixed",
            )  # fmt: skip
    ends = [0, *(band.up_to_fen for band in income.bands)]
    if any(end <= before for before, end in pairwise(ends)):
        raise Invalid(
            "the bands of the agreement do not rise", rule="agreement.allocation",
            accepted="sums of more than 0, each more than the one before", field="bands",
        )  # fmt: skip
    if not 0 <= income.infrastructure_rate < WHOLE:
        raise Invalid(
            f"the infrastructure rate is {income.infrastructure_rate} basis points",
            rule="agreement.infrastructure", accepted="0 to 9999", field="infrastructure",
        )  # fmt: skip


def anniversary(day: dt.date, years: int) -> dt.date:
    """Return the same day `years` later; the first of March where the year has no 29 February."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return dt.date(day.year + years, 3, 1)


def canonical(value: object) -> bytes:
    """Return the one JSON text of a value: keys sorted, no spaces, so that equal values have equal bytes."""
    plain = msgspec.to_builtins(value, order="sorted")
    return msgspec.json.encode(plain, order="sorted")


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()
