"""The tables of the forms: the terms of products, and the traces of leaked copies."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shuzha.core.records import Noun


@dataclass(frozen=True, slots=True)
class ProductTerms:
    """The terms of one product, under the product's own id; `text` is their JSON as it is always written."""

    id: str
    text: str
    set_by: str
    set_at: dt.datetime
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One metered fetch of a buyer: the use in the usage log that put the copy into its hands."""

    usage_id: str
    log_index: int
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One buyer held against a copy; `named` where chance alone cannot explain its score."""

    buyer: str
    score: float
    log10_chance: float
    named: bool
    deliveries: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class LeakTrace:
    """One trace of one leaked copy: its hash and size, why it was traced, what it said and of whom."""

    id: str
    product: str
    authorization: str
    organisation: str
    traced_by: str
    traced_at: dt.datetime
    reason: str
    copy_sha256: str
    copy_size: int
    rows: int
    matched: int
    cells: int
    columns: tuple[str, ...]
    suspects: tuple[Suspicion, ...]
    revision: int = 0

    @property
    def named(self) -> tuple[Suspicion, ...]:
        """The buyers whose copies this was made from."""
        return tuple(one for one in self.suspects if one.named)


PRODUCT_TERMS = Noun("product_terms", ProductTerms)
LEAK_TRACES = Noun("leak_traces", LeakTrace, index=["product"])
