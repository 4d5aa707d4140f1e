"""The tables of settlement: closings, statements, price versions, ceilings, caps and contributions."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shuzha.core.records import Noun
from shuzha.settlement.model import STATEMENT, Adjustment, Cap, CapState, Draft, Line, StatementKind, StatementState
from shuzha.settlement.plans import Plan, Version


@dataclass(frozen=True, slots=True)
class Closing:
    """A month that was closed for settlement: which entries of the usage log it counts, and its inputs for ever.

    It is written before anything is computed, so that a settlement which is interrupted goes on to the same figures.
    """

    id: str
    period: str
    sequence: int
    log_from: int
    log_size: int
    inputs: str
    inputs_sha256: str
    closed_at: dt.datetime
    complete: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """A stored statement; `organisation` is whose it is, `digest` that of its content (`model.Draft`).

    The figures never change; state, reason and payment do. `settled_by` made it, `approved_by` issued it.
    """

    id: str
    period: str
    kind: StatementKind
    subject: str
    organisation: str
    lines: tuple[Line, ...]
    amount_fen: int
    due_fen: int
    waived_fen: int
    shares: dict[str, int]
    digest: str
    settled_at: dt.datetime
    tax_fen: int = 0
    adjustments: tuple[Adjustment, ...] = ()
    cap: CapState | None = None
    inputs: str = ""
    log_size: int = 0
    state: StatementState = StatementState.DRAFT
    reason: str = ""
    settled_by: str = ""
    approved_by: str = ""
    approved_at: dt.datetime | None = None
    payment: str = ""
    paid_at: dt.datetime | None = None
    revision: int = 0

    def as_draft(self) -> Draft:
        """Return what was computed, without who stored it when and what became of it."""
        return Draft(
            self.kind, self.period, self.subject, self.lines, self.amount_fen, self.due_fen, self.waived_fen,
            self.shares, self.digest, self.tax_fen, self.adjustments, self.cap, self.inputs, self.log_size,
        )  # fmt: skip

    @property
    def number(self) -> str:
        """The statement's number, by which another machine names it too."""
        return self.as_draft().number


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """A published version of a product's price plan, or of one consumer's; never changed once it has begun."""

    id: str
    product: str
    consumer: str
    operator: str
    valid_from: dt.date
    plan: Plan
    waived: bool
    waived_purposes: tuple[str, ...]
    sha256: str
    published_by: str
    published_at: dt.datetime
    revision: int = 0

    def version(self) -> Version:
        """Return it as it is computed with."""
        return Version(
            self.id, self.product, self.consumer, self.valid_from, self.plan, self.waived, self.waived_purposes
        )


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that one use of a product may cost from a day on, in 毫; `source` is the decision that sets it."""

    id: str
    product: str
    valid_from: dt.date
    price_hao: int
    source: str
    set_by: str
    set_at: dt.datetime
    revision: int = 0


@dataclass(frozen=True, slots=True)
class RevenueCap:
    """The permitted revenue of an authorization over some months; `source` is the decision that sets it."""

    id: str
    authorization: str
    first_period: str
    last_period: str
    cost_fen: int
    subsidy_fen: int
    profit_fen: int
    tax_fen: int
    source: str
    set_by: str
    set_at: dt.datetime
    revision: int = 0

    def cap(self) -> Cap:
        """Return it as it is computed with."""
        return Cap(
            self.id, self.authorization, self.first_period, self.last_period, self.cost_fen, self.subsidy_fen,
            self.profit_fen, self.tax_fen,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contribution:
    """What each raw entry contributes to a product's version, measured once: weights, method, and the evidence.

    `evidence` is canonical JSON with everything that the weights follow from, `sha256` its hash.
    """

    id: str
    product: str
    version: str
    method: str
    weights: dict[str, int]
    evidence: str
    sha256: str
    measured_at: dt.datetime
    revision: int = 0


CLOSINGS = Noun("closings", Closing, unique=[("period",), ("sequence",)])
STATEMENTS = Noun(
    "statements", Statement, lifecycle=STATEMENT, unique=[("period", "kind", "subject")],
    index=["organisation", "period"],
)  # fmt: skip
PRICES = Noun("price_versions", PriceVersion, unique=[("product", "consumer", "valid_from")])
CEILINGS = Noun("price_ceilings", Ceiling, unique=[("product", "valid_from")])
CAPS = Noun("revenue_caps", RevenueCap, unique=[("authorization", "first_period")])
CONTRIBUTIONS = Noun("contributions", Contribution, unique=[("product", "version")])
