"""How a month's usage becomes statements: pure, so that a regulator can run it again on the log.

One rounding: the steps of a line are summed in 毫 and rounded to a fen once (`core.money.round_hao`). Of what is due,
tax comes off, then infrastructure, then the shares; each line is split on its own by largest remainder, so every total
is a sum of lines and all of them agree. The order of the facts does not matter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from shuzha.core.errors import Invalid
from shuzha.core.money import Amount, round_hao, split, tax_within
from shuzha.settlement.capping import NO_CAPS, Caps, adjust
from shuzha.settlement.model import (
    CARRIED,
    INFRASTRUCTURE,
    TAX,
    Adjustment,
    CapState,
    Draft,
    Line,
    Settlement,
    StatementKind,
    UsageFact,
    Waiver,
    days_of,
    merge_facts,
)
from shuzha.settlement.plans import (
    PerCall,
    Version,
    charge,
    find_version,
    full_price,
    owed_without_use,
)
from shuzha.settlement.terms import WHOLE, Terms, check_terms, split_added, split_entries

_VERIFICATION = "verification"


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a settlement stands on: the hash of its inputs and the size of the log when it was closed."""

    inputs: str = ""
    log_size: int = 0


@dataclass
class _Group:
    """The uses of one line to be."""

    first: int = -1
    last: int = -1
    count: int = 0
    days: dict[dt.date, int] = field(default_factory=dict)
    purposes: dict[str, int] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)

    def take(self, fact: UsageFact, day: dt.date) -> None:
        self.first = fact.first if self.first < 0 else min(self.first, fact.first)
        self.last = max(self.last, fact.last)
        self.count += fact.count
        self.days[day] = self.days.get(day, 0) + fact.count
        self.purposes[fact.purpose] = self.purposes.get(fact.purpose, 0) + fact.count
        self.claims[fact.claim] = self.claims.get(fact.claim, 0) + fact.count


@dataclass(frozen=True, slots=True)
class _Key:
    consumer: str
    code: str
    product: str
    authorization: str
    version: Version | None
    price_hao: int
    waiver: Waiver

    def sort_key(self) -> tuple[str, str, str, str, str, int, str]:
        plan = self.version.id if self.version else ""
        return self.consumer, self.code, self.product, self.authorization, plan, self.price_hao, self.waiver.value


def settle(
    period: str,
    facts: Iterable[UsageFact],
    terms: Mapping[str, Terms],
    *,
    corrections: Iterable[Line] = (),
    caps: Caps = NO_CAPS,
    anchor: Anchor | None = None,
) -> Settlement:
    """Return every statement of a period from its facts and the terms of each product; equal input gives equal bytes.

    `corrections` are lines of earlier months (`correct`). Refuses a fact whose product has no terms.
    """
    lines = (*compute_lines(period, facts, terms), *corrections)
    return _Sheets(period, terms, caps, anchor or Anchor()).of(lines)


def compute_lines(period: str, facts: Iterable[UsageFact], terms: Mapping[str, Terms]) -> tuple[Line, ...]:
    """Return the lines of a month, in order, each rounded once and split."""
    first, end = days_of(period)
    for one in terms.values():
        check_terms(one)
    groups = _grouped(merge_facts(facts), terms, first)
    for product, found in terms.items():
        _add_unused(groups, product, found, (first, end))
    income: dict[str, int] = {}
    lines = []
    for key in sorted(groups, key=_Key.sort_key):
        line = _priced_line(key, groups[key])
        lines.append(_split_line(line, terms[key.product], income))
    return tuple(lines)


def correct(
    period: str, before: Iterable[UsageFact], after: Iterable[UsageFact], terms: Mapping[str, Terms]
) -> tuple[Line, ...]:
    """Return what late and reversed uses change in a settled month, as lines that name it; none where nothing does.

    `before` are the month's uses as counted so far, `after` as they are counted now: the whole month is computed both
    ways and each line's difference taken, so corrections sum to what one settlement of all uses would have given.
    """
    old = {line.key: line for line in compute_lines(period, before, terms)}
    new = {line.key: line for line in compute_lines(period, after, terms)}
    found = (_difference(period, old.get(key), new.get(key)) for key in sorted({*old, *new}))
    return tuple(line for line in found if line is not None)


def _difference(period: str, old: Line | None, new: Line | None) -> Line | None:
    base = new or old
    if base is None or old == new:
        return None
    empty = replace(
        base, count=0, amount_fen=0, due_fen=0, tax_fen=0, parts={}, purposes={}, claims={}, entries={}, steps=()
    )
    here, there = new or empty, old or empty
    return replace(
        base, corrects=period, count=here.count - there.count, amount_fen=here.amount_fen - there.amount_fen,
        due_fen=here.due_fen - there.due_fen, tax_fen=here.tax_fen - there.tax_fen,
        parts=_less(here.parts, there.parts, keep=True), purposes=_less(here.purposes, there.purposes),
        claims=_less(here.claims, there.claims), entries=_less(here.entries, there.entries), steps=(),
    )  # fmt: skip


def _less(here: Mapping[str, int], there: Mapping[str, int], *, keep: bool = False) -> dict[str, int]:
    found = {name: here.get(name, 0) - there.get(name, 0) for name in sorted({*here, *there})}
    return found if keep else {name: value for name, value in found.items() if value}


def _grouped(facts: Iterable[UsageFact], terms: Mapping[str, Terms], first: dt.date) -> dict[_Key, _Group]:
    groups: dict[_Key, _Group] = {}
    for fact in facts:
        found = terms.get(fact.product)
        if found is None or found.authorization != fact.authorization:
            raise Invalid(
                f"usage of {fact.product} under {fact.authorization} has no agreement", rule="settlement.terms"
            )
        day = fact.day or first
        version = find_version(found.versions, fact.product, fact.consumer, day)
        # A plan has one price for all its uses; without one, each use has the list price at which it was metered.
        price = fact.price_hao if version is None else _call_price(version)
        waiver = _waiver(fact, version, found)
        key = _Key(fact.consumer, fact.code, fact.product, fact.authorization, version, price, waiver)
        groups.setdefault(key, _Group()).take(fact, day)
    return groups


def _add_unused(groups: dict[_Key, _Group], product: str, terms: Terms, days: tuple[dt.date, dt.date]) -> None:
    """Add the lines of consumers who owe a fee or a minimum under a plan of their own, used or not."""
    consumers = {version.consumer for version in terms.versions if version.product == product and version.consumer}
    for consumer in consumers:
        version = find_version(terms.versions, product, consumer, days[0])
        if version is None or version.consumer != consumer or not owed_without_use(version.plan):
            continue
        waiver = Waiver.PLAN if version.waived else Waiver.NONE
        key = _Key(consumer, terms.code, product, terms.authorization, version, _call_price(version), waiver)
        groups.setdefault(key, _Group())


def _call_price(version: Version) -> int:
    return version.plan.price if isinstance(version.plan, PerCall) else 0


def _waiver(fact: UsageFact, version: Version | None, terms: Terms) -> Waiver:
    if fact.waived or (version is not None and fact.purpose in version.waived_purposes):
        return Waiver.PURPOSE
    if fact.consumer in terms.departments and fact.kind == _VERIFICATION:
        return Waiver.DEPARTMENT
    return Waiver.PLAN if version is not None and version.waived else Waiver.NONE


def _priced_line(key: _Key, group: _Group) -> Line:
    version = key.version
    plan = PerCall(key.price_hao) if version is None else version.plan
    if version is not None and key.waiver in (Waiver.PURPOSE, Waiver.DEPARTMENT):
        plan = full_price(version)
    steps = charge(plan, group.days)
    amount = round_hao(sum(step.hao for step in steps)).fen
    return Line(
        consumer=key.consumer, product=key.product, code=key.code, authorization=key.authorization,
        price_hao=key.price_hao, count=group.count, waived=key.waiver is not Waiver.NONE, amount_fen=amount,
        due_fen=amount if key.waiver is Waiver.NONE else 0, parts={}, first=group.first, last=group.last,
        plan=version.id if version else "", plan_type=_type_of(version), waiver=key.waiver,
        purposes=_some(group.purposes), claims=_some(group.claims), steps=steps,
    )  # fmt: skip


def _type_of(version: Version | None) -> str:
    return "per_call" if version is None else str(version.plan.__struct_config__.tag)


def _some(found: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in sorted(found.items()) if count and name}


def _split_line(line: Line, terms: Terms, income: dict[str, int]) -> Line:
    tax = tax_within(Amount(line.due_fen), terms.vat).fen
    net = Amount(line.due_fen - tax)
    if terms.is_infrastructure:
        nothing = dict.fromkeys(terms.shares, 0)
        return replace(line, tax_fen=tax, parts={TAX: tax, INFRASTRUCTURE: net.fen, **nothing})
    cost = split(net, {INFRASTRUCTURE: terms.infrastructure, "rest": WHOLE - terms.infrastructure})
    before = income.get(line.authorization, 0)
    rest = cost["rest"].fen
    parts = {TAX: tax, INFRASTRUCTURE: cost[INFRASTRUCTURE].fen, **split_added(terms, before, rest)}
    income[line.authorization] = before + rest
    entries = split_entries(terms, parts.get("provider", 0), line.claims)
    return replace(line, tax_fen=tax, parts=parts, entries=entries)


@dataclass(frozen=True, slots=True)
class _Sheets:
    """Makes the statements of lines."""

    period: str
    terms: Mapping[str, Terms]
    caps: Caps
    anchor: Anchor

    def of(self, lines: tuple[Line, ...]) -> Settlement:
        """Return the statements: bills, authorizations, providers, each kind in the order of its subjects."""
        bills = [
            self._sheet(StatementKind.BILL, subject, found) for subject, found in _by(lines, lambda line: line.consumer)
        ]
        shared, held = [], {}
        for subject, found in _by(lines, lambda line: line.authorization):
            adjustments, state = adjust(self.caps, self.period, subject, found)
            held[subject] = adjustments
            shared.append(self._sheet(StatementKind.AUTHORIZATION, subject, found, adjustments, state))
        return Settlement(self.period, (*bills, *shared, *self._providers(lines, held)))

    def _providers(self, lines: tuple[Line, ...], held: Mapping[str, tuple[Adjustment, ...]]) -> list[Draft]:
        owners = {entry: share.provider for one in self.terms.values() for entry, share in one.entries.items()}
        found: dict[str, list[Line]] = {}
        for line in lines:
            default = self.terms[line.product].organisations["provider"]
            if self.terms[line.product].is_infrastructure:
                continue
            earned: dict[str, dict[str, int]] = {}
            for entry, fen in line.entries.items() or {"": 0}.items():
                earned.setdefault(owners.get(entry) or default, {})[entry] = fen
            for provider, entries in earned.items():
                own = replace(line, parts={"provider": sum(entries.values())}, entries=entries)
                found.setdefault(provider, []).append(own)
        money: dict[str, list[Adjustment]] = {}
        for authorization, adjustments in held.items():
            default = next(
                (
                    one.organisations["provider"]
                    for one in self.terms.values()
                    if one.authorization == authorization and not one.is_infrastructure
                ),
                "",
            )
            for one in adjustments:
                for provider, adjusted in _by_provider(one, owners, default).items():
                    money.setdefault(provider, []).append(adjusted)
        return [
            self._sheet(StatementKind.PROVIDER, name, tuple(found.get(name, ())), tuple(money.get(name, ())))
            for name in sorted({*found, *money})
        ]

    def _sheet(
        self, kind: StatementKind, subject: str, lines: tuple[Line, ...], adjustments: tuple[Adjustment, ...] = (),
        state: CapState | None = None,
    ) -> Draft:  # fmt: skip
        shares: dict[str, int] = {}
        for parts in (*(line.parts for line in lines), *(one.parts for one in adjustments)):
            for party, fen in parts.items():
                shares[party] = shares.get(party, 0) + fen
        draft = Draft(
            kind, self.period, subject, lines,
            amount_fen=sum(line.amount_fen for line in lines), due_fen=sum(line.due_fen for line in lines),
            waived_fen=sum(line.amount_fen - line.due_fen for line in lines), shares=shares,
            tax_fen=sum(line.tax_fen for line in lines), adjustments=adjustments, cap=state,
            inputs=self.anchor.inputs, log_size=self.anchor.log_size,
        )  # fmt: skip
        return replace(draft, digest=draft.computed_digest())


def _by_provider(one: Adjustment, owners: Mapping[str, str], default: str) -> dict[str, Adjustment]:
    found: dict[str, dict[str, int]] = {}
    for entry, fen in one.entries.items():
        found.setdefault(owners.get(entry) or default, {})[entry] = fen
    return {
        provider: Adjustment(one.kind, -sum(entries.values()), {"provider": sum(entries.values())}, entries)
        for provider, entries in found.items()
    }


def _by(lines: Iterable[Line], key: Callable[[Line], str]) -> list[tuple[str, tuple[Line, ...]]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(key(line), []).append(line)
    return [(subject, tuple(found[subject])) for subject in sorted(found)]


__all__ = ["CARRIED", "Anchor", "compute_lines", "correct", "settle"]
