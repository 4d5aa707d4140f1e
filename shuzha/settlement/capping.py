"""The permitted-revenue cap: what an authorization earns over it is held back, and given out in the next cap's months.

Under government guidance the most that may be earned is operating cost net of subsidy, permitted profit and tax; what
exceeds it is deducted in the next period. So each cap's months give out `min(permitted, carried in + earned)`; the rest
stays held, by the party and entry that it was held from. VAT is no income and is never held. Sums stay exact: an
adjustment's parts and the carried sum are 0 together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from shuzha.core.money import apportion
from shuzha.settlement.model import CARRIED, TAX, Adjustment, Cap, CapState, Line


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps that are published, and where each authorization stood after its last statement."""

    caps: tuple[Cap, ...] = ()
    states: Mapping[str, CapState] | None = None

    def find(self, authorization: str, period: str) -> Cap | None:
        """Return the cap of a month; the newest where two cover it."""
        found = [one for one in self.caps if one.authorization == authorization and one.covers(period)]
        return max(found, key=lambda one: (one.first_period, one.id), default=None)

    def state(self, authorization: str) -> CapState | None:
        """Return where an authorization stood."""
        return (self.states or {}).get(authorization)


NO_CAPS = Caps()


def adjust(
    caps: Caps, period: str, authorization: str, lines: Iterable[Line]
) -> tuple[tuple[Adjustment, ...], CapState | None]:
    """Return what is held back or given out with a month's statement of an authorization, and where it stands then.

    Without a cap for the month nothing moves, and what is held stays held until there is one.
    """
    cap, before = caps.find(authorization, period), caps.state(authorization)
    if cap is None:
        return (), before
    earned, entries = _sums(lines)
    income = sum(earned.values())
    held = dict(before.held) if before else {}
    held_entries = dict(before.held_entries) if before else {}
    same = before is not None and before.cap == cap.id
    counted = (before.counted_fen if before and same else sum(held.values())) + income
    released_before = before.released_fen if before and same else 0
    released = max(min(cap.permitted_fen, counted), 0)
    held_now = income - (released - released_before)
    adjustments: tuple[Adjustment, ...] = ()
    if held_now:
        weights = (earned, entries) if held_now > 0 else (held, held_entries)
        moved = _proportional(held_now, weights[0])
        moved_entries = _proportional(moved.get("provider", 0), weights[1])
        parts = {party: -fen for party, fen in moved.items()} | {CARRIED: held_now}
        kind = "held" if held_now > 0 else "released"
        adjustments = (Adjustment(kind, held_now, parts, {name: -fen for name, fen in moved_entries.items()}),)
        held = _plus(held, moved)
        held_entries = _plus(held_entries, moved_entries)
    return adjustments, CapState(cap.id, cap.permitted_fen, counted, released, held, held_entries)


def _sums(lines: Iterable[Line]) -> tuple[dict[str, int], dict[str, int]]:
    parts: dict[str, int] = {}
    entries: dict[str, int] = {}
    for line in lines:
        parts = _plus(parts, {party: fen for party, fen in line.parts.items() if party != TAX})
        entries = _plus(entries, line.entries)
    return parts, entries


def _proportional(whole: int, weights: Mapping[str, int]) -> dict[str, int]:
    usable = {name: weight for name, weight in weights.items() if weight > 0} or dict.fromkeys(weights, 1)
    if not usable or not whole:
        return {}
    total = sum(usable.values())
    return apportion(whole, {name: Fraction(whole * weight, total) for name, weight in usable.items()})


def _plus(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}
