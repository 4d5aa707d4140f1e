"""What a grant's scope says to one request: Casbin decides, and a refusal is explained attribute by attribute."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from policies.decisions import Context, Decision, Resource
from policies.enforcers import TinyEnforcer
from policies.scopes import Citation, Deed, Line, Quota, Scope
from policies.windows import EARLIEST, LATEST, OpenHours
from shuzha.core.calendar import WorkingCalendar

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "data:export": ("entry", "operation", "output_kind", "purpose", "place"),
    "data:index": ("entry", "columns", "operation", "output_kind", "place"),
    "data:join": ("entry", "columns", "operation", "partners", "place"),
    "data:open": ("entry", "operation", "place"),
    "data:release": ("entry", "columns"),
    "data:serve": ("entry", "output_kind", "purpose", "place"),
    "data:view": ("entry",),
}
"""The attributes that each scope permission asks for; without one of them it is denied. What is given beyond them must
lie within the scope too."""

DEEDS: Mapping[str, Deed] = {
    "data:export": Deed.EXPORT, "data:index": Deed.SERVE, "data:join": Deed.USE, "data:open": Deed.USE,
    "data:release": Deed.USE, "data:serve": Deed.SERVE, "data:view": Deed.USE,
}  # fmt: skip
"""Which kind of policy line each scope permission asks."""

_EMPTY: frozenset[str] = frozenset()


@dataclass(slots=True)
class Ask:
    """One request in the types of the policy lines: what stands in Casbin's request definition.

    Made for one decision and seen by nobody else, so it is not frozen: that would be a tenth of the decision's time.
    """

    grant: str
    holder: str
    deed: str
    operation: str
    entry: str
    columns: frozenset[str]
    partners: frozenset[str]
    output_kinds: frozenset[str]
    purposes: frozenset[str]
    places: frozenset[str]
    at: dt.datetime

    def __str__(self) -> str:
        """Return no content: Casbin makes a text of each request."""
        return "a request"


@dataclass(frozen=True, slots=True)
class Segment:
    """A decision, and the half-open time in which it is the answer to the same question."""

    decision: Decision
    starts: dt.datetime
    ends: dt.datetime


@dataclass(frozen=True, slots=True)
class Attribute:
    """One part of a request beside what a line has for it: `holds` decides alone, `granted` says it in words."""

    name: str
    part: str
    holds: Callable[[Line, Ask], bool]
    granted: Callable[[Line], frozenset[str]]
    asked: Callable[[Ask], frozenset[str]]


def _of_set(name: str, plural: str, part: str) -> Attribute:
    asked: Callable[[Ask], frozenset[str]] = attrgetter(plural)
    granted: Callable[[Line], frozenset[str]] = attrgetter(plural)
    return Attribute(name, part, lambda line, ask: asked(ask) <= granted(line), granted, asked)


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(
        "deed", "operations", lambda line, ask: ask.deed in line.deeds, lambda line: line.deeds,
        lambda ask: frozenset({ask.deed}),
    ),
    _of_set("place", "places", "places"),
    _of_set("output_kind", "output_kinds", "output_kinds"),
    Attribute(
        "operation", "operations", lambda line, ask: ask.operation in line.operations,
        lambda line: line.operations - {""}, lambda ask: frozenset({ask.operation} - {""}),
    ),
    _of_set("purpose", "purposes", "purposes"),
    _of_set("partners", "partners", "partners"),
    _of_set("columns", "columns", "columns"),
)  # fmt: skip
"""In the order in which a refusal is looked for: the first that no line left over holds is the one that it names."""


class CompiledScope:
    """One version of one grant's scope as its own tiny Casbin enforcers; never changed, only replaced."""

    __slots__ = ("_allowing", "_enforcers", "_hours", "_numbers", "_refusing", "_timed", "scope")

    def __init__(self, scope: Scope, calendar: WorkingCalendar | None = None) -> None:
        if scope.version != scope.computed_version():
            raise ValueError(f"the version of the scope of grant {scope.grant} is not the hash of its content")
        self.scope = scope
        known = calendar or WorkingCalendar()
        self._hours = tuple(OpenHours(line.hours, known) for line in scope.lines)
        # Lines mostly share their hours: each once is enough to know when an answer ends.
        self._timed = tuple({each.hours: each for each in self._hours if each.hours is not None}.values())
        lines = [columns_of(scope, line, hours) for line, hours in zip(scope.lines, self._hours, strict=True)]
        self._numbers = {line: number for number, line in enumerate(lines)}
        # Casbin walks all lines of an enforcer: one for each kind of deed has only those that could allow it.
        self._enforcers = {
            deed: TinyEnforcer("scope.conf", found)
            for deed in Deed
            if (found := [line for line, each in zip(lines, scope.lines, strict=True) if deed in each.deeds])
        }
        self._refusing: dict[str, tuple[str, Citation]] = {}  # by part of the scope, of which there are a dozen
        # Without hours, a line's yes holds for the whole term: it is made once.
        always = all(line.hours is None for line in scope.lines)
        self._allowing = [self._allow(scope.valid_from, number) for number in range(len(lines))] if always else []

    def decide(self, permission: str, resource: Resource, context: Context) -> Segment:
        """Return the answer to this request and the time in which it stays the answer."""
        ask = ask_of(permission, resource, context)
        fault = self._find_mismatch(permission, resource, context)
        enforcer = self._enforcers.get(DEEDS[permission])
        line = None if fault or enforcer is None else enforcer.find_line(ask)
        if line is not None:
            number = self._numbers[line]
            return self._allowing[number] if self._allowing else self._allow(ask.at, number)
        code, reason, part = fault or self.find_outside(ask)
        if part not in self._refusing:
            cited = self.scope.cite(part)
            self._refusing[part] = (self.rule(cited), cited)
        (rule, cited), (starts, ends) = self._refusing[part], self._stretch(ask.at)
        decision = Decision(
            False, f"`{permission}` is refused: {reason}", rule, self.scope.version, None if ends is LATEST else ends,
            code, cited.clause, cited.article,
        )  # fmt: skip
        return Segment(decision, starts, ends)

    def rule(self, *cited: Citation, line: int | None = None) -> str:
        """Return the policy line's name and the clauses behind it."""
        named = "" if line is None else f" line {line + 1}"
        texts = dict.fromkeys(f"{each.part}: {each.text()}" for each in cited)
        return "; ".join((f"scope {self.scope.grant}@{self.scope.version[:12]}{named}", *texts))

    def is_open(self, number: int, at: dt.datetime) -> bool:
        """Return whether the hours of a line are open."""
        return at in self._hours[number]

    def find_outside(self, ask: Ask) -> tuple[str, str, str]:
        """Return code, reason and part of the scope for a request that no line allows."""
        scope = self.scope
        if ask.holder != scope.holder:
            return "scope.holder", f"grant {scope.grant} was given to another organisation", "parties"
        if ask.at < scope.valid_from:
            return "scope.not_yet", f"the grant starts at {scope.valid_from.isoformat()}", "term"
        if ask.at >= scope.valid_until:
            return "scope.expired", f"the grant ended at {scope.valid_until.isoformat()}", "term"
        if ask.entry != scope.entry:
            return "scope.entry", f"its entry lies outside the grant, which has: {scope.entry}", "entries"
        reached = [_count_holding(line, ask) for line in scope.lines]
        furthest = max(reached, default=0)
        left = [line for line, count in zip(scope.lines, reached, strict=True) if count == furthest]
        if furthest < len(ATTRIBUTES):
            return _outside(ATTRIBUTES[furthest], left)
        said = "; ".join(dict.fromkeys(line.hours.text() for line in left if line.hours))
        return "scope.hours", f"its moment lies outside the grant's hours, which are: {said or 'none'}", "hours"

    def _allow(self, at: dt.datetime, number: int) -> Segment:
        scope, line = self.scope, self.scope.lines[number]
        cited, (starts, ends) = scope.cite(line.part), self._stretch(at)
        quota = () if line.quota is None else (scope.cite("quota"),)
        rule = self.rule(scope.cite("entries"), cited, *quota, line=number)
        counted = _EMPTY if line.quota is None else _counted_with(scope, line.quota)
        decision = Decision(
            True, f"within grant {scope.grant}", rule, scope.version, ends, "allowed", cited.clause, cited.article,
            line.quota, number, counted,
        )  # fmt: skip
        return Segment(decision, starts, ends)

    def _stretch(self, at: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """Return the stretch round a moment in which neither the term nor the hours of any line begin or end."""
        starts, ends = EARLIEST, LATEST
        for edge in (self.scope.valid_from, self.scope.valid_until):
            if edge <= at:
                starts = edge
            else:
                ends = min(ends, edge)
        for hours in self._timed:
            start, end = hours.around(at)
            starts, ends = max(starts, start), min(ends, end)
        return starts, ends

    def _find_mismatch(self, permission: str, resource: Resource, context: Context) -> tuple[str, str, str] | None:
        if resource.authorization and resource.authorization != self.scope.authorization:
            return "scope.authorization", f"grant {self.scope.grant} belongs to another authorization", "parties"
        for name in REQUIRED[permission]:
            if not getattr(context, name):
                part = next((each.part for each in ATTRIBUTES if each.name == name), "entries")
                return f"scope.{name}.missing", f"the request does not say its {name.replace('_', ' ')}", part
        return None


def ask_of(permission: str, resource: Resource, context: Context) -> Ask:
    """Return a request in the types of the policy lines; raises TypeError for a value of another type."""
    return Ask(
        resource.grant, resource.organisation, DEEDS[permission], _text(context.operation), _text(context.entry),
        _set(context.columns), _set(context.partners), _as_set(context.output_kind), _as_set(context.purpose),
        _as_set(context.place), context.at.astimezone(dt.UTC),
    )  # fmt: skip


def columns_of(scope: Scope, line: Line, hours: OpenHours) -> tuple[Any, ...]:
    """Return a policy line in the order of the model's policy definition."""
    return (
        scope.grant, scope.holder, line.deeds, line.operations, scope.entry, line.columns, line.partners,
        line.output_kinds, line.purposes, line.places, scope.valid_from, scope.valid_until, hours,
    )  # fmt: skip


def _counted_with(scope: Scope, quota: Quota) -> frozenset[str]:
    return _EMPTY.union(*(line.output_kinds for line in scope.lines if line.quota == quota))


def _count_holding(line: Line, ask: Ask) -> int:
    """Return how many attributes hold before the first that does not."""
    for place, attribute in enumerate(ATTRIBUTES):
        if not attribute.holds(line, ask):
            return place
    return len(ATTRIBUTES)


def _outside(attribute: Attribute, left: list[Line]) -> tuple[str, str, str]:
    """Return a refusal that names the attribute which none of the lines holds that held all before it."""
    if attribute.name == "deed":
        return "scope.deed", "the grant allows nothing of this kind", attribute.part
    granted = ", ".join(sorted(_EMPTY.union(*(attribute.granted(line) for line in left)))) or "nothing"
    name = attribute.name.replace("_", " ")
    return f"scope.{attribute.name}", f"its {name} lies outside the grant, which has: {granted}", attribute.part


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("an attribute of a request is a text or a frozenset of texts")
    return value


def _set(value: object) -> frozenset[str]:
    if not isinstance(value, frozenset):
        raise TypeError("an attribute of a request is a text or a frozenset of texts")
    return value


def _as_set(value: object) -> frozenset[str]:
    return frozenset({text}) if (text := _text(value)) else _EMPTY
