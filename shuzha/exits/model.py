"""How an authorization is left (J23 art. 4: exit mechanism, disposal of assets): its lifecycle and its records. Pure.

Words: an *exit* begins by itself when an authorization that was in force expires, is terminated or is given up.
*Frozen* means that nothing of it moves any more; *handed over*, that the unit has said what becomes of its products and
customers; *destroyed*, that every release, home and key was looked for and is gone; *settled*, that every month has its
final statement; *closed*, that the authority has signed the certificate.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from shuzha.core.errors import Invalid
from shuzha.core.lifecycle import Lifecycle, Move

HAND_OVER_RULE = "exit.hand_over"


class ExitState(StrEnum):
    """How far an exit has come."""

    OPENED = "opened"
    FROZEN = "frozen"
    HANDED_OVER = "handed_over"
    DESTROYED = "destroyed"
    SETTLED = "settled"
    CLOSED = "closed"


_E = ExitState
EXIT: Lifecycle[ExitState] = Lifecycle(
    "exit",
    ExitState,
    _E.OPENED,
    (
        Move("freeze", (_E.OPENED,), _E.FROZEN, "operator", clock=HAND_OVER_RULE),
        Move("hand_over", (_E.FROZEN,), _E.HANDED_OVER, "platform"),
        Move("destroy", (_E.HANDED_OVER,), _E.DESTROYED, "platform"),
        Move("settle", (_E.DESTROYED,), _E.SETTLED, "authority"),
        Move("close", (_E.SETTLED,), _E.CLOSED),
    ),
)


class Cause(StrEnum):
    """What ended the authorization."""

    EXPIRED = "expired"
    TERMINATED = "terminated"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Frozen:
    """What had stopped when the freeze was found complete, by ids."""

    at: dt.datetime
    grants: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HandOver:
    """What the unit says of its products, customers and own assets, and who said it; `substituted` by the authority."""

    at: dt.datetime
    by: str
    products: str
    customers: str
    assets: str
    substituted: bool = False


@dataclass(frozen=True, slots=True)
class Destroyed:
    """One thing that is gone: looked for after its destruction, and not found; `event` is its act in the audit log."""

    kind: str
    id: str
    method: str
    event: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """The final statement of one month, by its digest; money in fen."""

    period: str
    statement: str
    digest: str
    due_fen: int
    waived_fen: int
    shares: dict[str, int]


@dataclass(frozen=True, slots=True)
class Signature:
    """One party's Ed25519 signature over the canonical certificate; `key` and `value` are hex."""

    party: str
    by: str
    at: dt.datetime
    key: str
    value: str
    algorithm: str = "Ed25519"


@dataclass(frozen=True, slots=True)
class Exit:
    """One exit; `waiting` says in a sentence what the next step still waits for."""

    id: str
    authorization: str
    operator: str
    authority: str
    cause: Cause
    reason: str
    state: ExitState
    opened_at: dt.datetime
    frozen: Frozen | None = None
    hand_over: HandOver | None = None
    destroyed: tuple[Destroyed, ...] = ()
    destroyed_at: dt.datetime | None = None
    settled: tuple[Settled, ...] = ()
    settled_at: dt.datetime | None = None
    certificate: str = ""
    signatures: tuple[Signature, ...] = ()
    due: dt.date | None = None
    due_provisional: bool = False
    waiting: str = ""
    revision: int = 1


def check_hand_over(products: str, customers: str, assets: str) -> None:
    """Refuse a hand-over that leaves a part out; "none" is an answer, silence is not."""
    for name, text in (("products", products), ("customers", customers), ("assets", assets)):
        if not 1 <= len(text.strip()) <= 2000:
            raise Invalid(
                f"the hand-over says nothing of `{name}`", rule="J23 art. 4", accepted="a sentence; `none` where none"
            )


def months_between(first: dt.date, last: dt.date) -> tuple[str, ...]:
    """Return the months of two days and between, as `YYYY-MM`."""
    found = []
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        found.append(f"{year:04d}-{month:02d}")
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return tuple(found)


def total_shares(settled: Iterable[Settled]) -> dict[str, int]:
    """Return the sums of the parties' shares over all months, in fen."""
    found: dict[str, int] = {}
    for one in settled:
        for party, fen in one.shares.items():
            found[party] = found.get(party, 0) + fen
    return dict(sorted(found.items()))
