"""What calls return."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question; `no_match` says that the claim is not confirmed, and no more than that.

    `log_index` is the use's place in the usage log; `signed_by` the key that signed the answer, empty where none did.
    """

    result: str
    usage_id: str
    log_index: int
    idempotency_key: str
    signed_by: str = ""

    @property
    def matched(self) -> bool:
        """Whether the claim is confirmed."""
        return self.result == "match"


@dataclass(frozen=True, slots=True)
class Result:
    """What a model or a data service answered, as the product's sheet describes it."""

    value: Mapping[str, Any]
    usage_id: str
    log_index: int
    idempotency_key: str
    signed_by: str = ""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One question of a batch."""

    subject: Mapping[str, str]
    claim: str
    consent: str

    def document(self) -> dict[str, Any]:
        """Return the question as it is sent."""
        return {"subject": dict(self.subject), "claim": self.claim, "consent": self.consent}


@dataclass(frozen=True, slots=True)
class File:
    """A file of a report or component; `sha256` was compared with what the API said where it said it."""

    name: str
    content: bytes
    media_type: str
    sha256: str
    usage_id: str
    log_index: int
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Use:
    """One metered use; `price` in 毫 (1/10,000 yuan)."""

    log_index: int
    usage_id: str
    product: str
    claim: str
    purpose: str
    price: int
    waived: bool
    quantity: int
    occurred_at: dt.datetime

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Use:
        """Return a use of the API's list."""
        kept = {name: document.get(name, "") for name in ("usage_id", "product", "claim", "purpose")}
        return cls(
            log_index=int(document["log_index"]), price=int(document["price"]), waived=bool(document["waived"]),
            quantity=int(document["quantity"]), occurred_at=dt.datetime.fromisoformat(str(document["occurred_at"])),
            **kept,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Usage:
    """One page of a month's uses, newest first, with the sums of the whole month in 毫."""

    period: str
    uses: int
    quantity: int
    charged: int
    waived: int
    items: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """A use that was shown to stand in the usage log: its place, the size and root of the signed checkpoint."""

    usage_id: str
    index: int
    size: int
    root: bytes
    checkpoint: str
