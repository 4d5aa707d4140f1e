"""What a grant's scope says to one request: Casbin decides, and a refusal is explained attribute by attribute."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec

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
_UNSAID = frozenset({""})
_KEPT_REFUSALS = 256
"""How many of its sentences a grant keeps: who asks for ever other things fills no memory."""

Refusal = tuple[str, str, str]
"""Code, reason, and the part of the scope that it rests on."""


class Ask(msgspec.Struct, frozen=True):
    """One request in the types of the policy lines: what stands in Casbin's request definition."""

    grant: str
    holder: str
    deeds: frozenset[str]
    operations: frozenset[str]
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


class Segment(msgspec.Struct, frozen=True):
    """A decision, and the half-open time in which it is the answer to the same question."""

    decision: Decision
    starts: dt.datetime
    ends: dt.datetime


@dataclass(frozen=True, slots=True)
class Attribute:
    """One set of things of a request beside the same set of a line; `part` names the clause that it rests on."""

    name: str
    plural: str
    part: str

    def holds(self, line: Line, ask: Ask) -> bool:
        """Return whether the line has all that the request needs."""
        needs, have = getattr(ask, self.plural), getattr(line, self.plural)
        return bool(needs <= have)

    def granted(self, line: Line) -> frozenset[str]:
        """Return what the line has, in words: what is unsaid is left out."""
        return _said(line, self.plural)

    def asked(self, ask: Ask) -> frozenset[str]:
        """Return what the request needs, in words."""
        return _said(ask, self.plural)


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("deed", "deeds", "operations"),
    Attribute("place", "places", "places"),
    Attribute("output_kind", "output_kinds", "output_kinds"),
    Attribute("operation", "operations", "operations"),
    Attribute("purpose", "purposes", "purposes"),
    Attribute("partners", "partners", "partners"),
    Attribute("columns", "columns", "columns"),
)
"""In the order in which a refusal is looked for: the first that no line left over holds is the one that it names."""

Sets = tuple[frozenset[str], ...]
_sets_of: Callable[[Line | Ask], Sets] = attrgetter(*(attribute.plural for attribute in ATTRIBUTES))
_DEEDS: Mapping[str, frozenset[str]] = {permission: frozenset({deed}) for permission, deed in DEEDS.items()}


class CompiledScope:
    """One version of one grant's scope as its own tiny Casbin enforcers; never changed, only replaced."""

    __slots__ = (
        "_allowing", "_enforcers", "_having", "_hours", "_lines", "_numbers", "_outside", "_refusing", "_timed",
        "scope",
    )  # fmt: skip

    def __init__(self, scope: Scope, calendar: WorkingCalendar | None = None) -> None:
        if scope.version != scope.computed_version():
            raise ValueError(f"the version of the scope of grant {scope.grant} is not the hash of its content")
        self.scope = scope
        known = calendar or WorkingCalendar()
        self._hours = tuple(OpenHours(line.hours, known) for line in scope.lines)
        # Lines mostly share their hours: each once is enough to know when an answer ends.
        self._timed = tuple({each.hours: each for each in self._hours if each.hours is not None}.values())
        lines = [columns_of(scope, line, hours) for line, hours in zip(scope.lines, self._hours, strict=True)]
        # By identity, as Casbin gives back the very line: the hash of one takes longer than all else but Casbin.
        self._lines = lines
        self._numbers = {id(line): number for number, line in enumerate(lines)}
        # Casbin walks all lines of an enforcer: one for each kind of deed has only those that could allow it.
        self._enforcers = {
            deed: TinyEnforcer("scope.conf", found)
            for deed in Deed
            if (found := [line for line, each in zip(lines, scope.lines, strict=True) if deed in each.deeds])
        }
        # A line that lacks the deed holds nothing of a request: only the others are compared, unless there are none.
        having = [(number, _sets_of(line)) for number, line in enumerate(scope.lines)]
        self._having: dict[str, tuple[tuple[int, Sets], ...]] = {
            deed: tuple(each for each in having if deed in scope.lines[each[0]].deeds) or tuple(having) for deed in Deed
        }
        self._outside: dict[tuple[int, tuple[int, ...]], Refusal] = {}  # by attribute and the lines left before it
        # What was answered last: it stays the answer until term or hours turn.
        self._allowing: dict[int, Segment] = {}
        self._refusing: dict[tuple[str, Refusal], Segment] = {}

    def decide(self, permission: str, resource: Resource, context: Context) -> Segment:
        """Return the answer to this request and the time in which it stays the answer.

        What lies outside every line is refused without asking Casbin, whose yes is needed for any other answer. It is
        asked once for a line in a stretch of time: of a request whose sets the same line holds in the same stretch,
        every comparison of the matcher is true again.
        """
        ask = ask_of(permission, resource, context)
        found = self._find_mismatch(permission, resource, context) or self.find_outside(ask)
        if isinstance(found, int):
            known = self._allowing.get(found)
            if known is not None and known.starts <= ask.at < known.ends:
                return known
            enforcer = self._enforcers.get(DEEDS[permission])
            line = None if enforcer is None else enforcer.find_line(ask)
            if line is not None:
                return self._allow(ask.at, self._numbers[id(line)])
            found = self._outside_hours(ask)
        return self._refuse(ask.at, permission, found)

    def rule(self, *cited: Citation, line: int | None = None) -> str:
        """Return the policy line's name and the clauses behind it."""
        named = "" if line is None else f" line {line + 1}"
        texts = dict.fromkeys(f"{each.part}: {each.text()}" for each in cited)
        return "; ".join((f"scope {self.scope.grant}@{self.scope.version[:12]}{named}", *texts))

    def is_open(self, number: int, at: dt.datetime) -> bool:
        """Return whether the hours of a line are open."""
        return at in self._hours[number]

    def find_outside(self, ask: Ask) -> Refusal | int:
        """Return the number of the first line that may allow the request, or why none can, whatever the hour."""
        scope = self.scope
        if ask.grant != scope.grant:
            return "scope.unknown", f"it names another grant than {scope.grant}", "parties"
        if ask.holder != scope.holder:
            return "scope.holder", f"grant {scope.grant} was given to another organisation", "parties"
        if ask.at < scope.valid_from:
            return "scope.not_yet", f"the grant starts at {scope.valid_from.isoformat()}", "term"
        if ask.at >= scope.valid_until:
            return "scope.expired", f"the grant ended at {scope.valid_until.isoformat()}", "term"
        if ask.entry != scope.entry:
            return "scope.entry", f"its entry lies outside the grant, which has: {scope.entry}", "entries"
        (deed,) = ask.deeds
        furthest, left = _find_furthest(_sets_of(ask), self._having[deed])
        if furthest == len(ATTRIBUTES):
            return left[0]
        known = self._outside.get((furthest, left))
        if known is None:
            known = _outside(ATTRIBUTES[furthest], [scope.lines[number] for number in left])
            if len(self._outside) < _KEPT_REFUSALS:
                self._outside[furthest, left] = known
        return known

    def _outside_hours(self, ask: Ask) -> Refusal:
        needs, (deed,) = _sets_of(ask), ask.deeds
        hours = [self.scope.lines[number].hours for number, have in self._having[deed] if _holds_all(needs, have)]
        said = "; ".join(dict.fromkeys(each.text() for each in hours if each))
        return "scope.hours", f"its moment lies outside the grant's hours, which are: {said or 'none'}", "hours"

    def _allow(self, at: dt.datetime, number: int) -> Segment:
        """Return the yes of a line, the one of before where that is of the same stretch of time."""
        known = self._allowing.get(number)
        if known is None or not known.starts <= at < known.ends:
            known = self._allowing[number] = self._make_yes(at, number)
        return known

    def _refuse(self, at: dt.datetime, permission: str, refusal: Refusal) -> Segment:
        """Return a no, the one of before where that is of the same stretch of time."""
        known = self._refusing.get((permission, refusal))
        if known is None or not known.starts <= at < known.ends:
            known = self._make_no(at, permission, refusal)
            if len(self._refusing) < _KEPT_REFUSALS:
                self._refusing[permission, refusal] = known
        return known

    def _make_yes(self, at: dt.datetime, number: int) -> Segment:
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

    def _make_no(self, at: dt.datetime, permission: str, refusal: Refusal) -> Segment:
        code, reason, part = refusal
        cited, (starts, ends) = self.scope.cite(part), self._stretch(at)
        decision = Decision(
            False, f"`{permission}` is refused: {reason}", self.rule(cited), self.scope.version,
            None if ends is LATEST else ends, code, cited.clause, cited.article,
        )  # fmt: skip
        return Segment(decision, starts, ends)

    def _stretch(self, at: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """Return the stretch round a moment in which neither the term nor the hours of any line begin or end."""
        opens, closes = self.scope.valid_from, self.scope.valid_until
        if at < opens:
            starts, ends = EARLIEST, opens
        elif at < closes:
            starts, ends = opens, closes
        else:
            starts, ends = closes, LATEST
        for hours in self._timed:
            start, end = hours.around(at)
            starts, ends = max(starts, start), min(ends, end)
        return starts, ends

    def _find_mismatch(self, permission: str, resource: Resource, context: Context) -> Refusal | None:
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
        resource.grant, resource.organisation, _DEEDS[permission], frozenset((_text(context.operation),)),
        _text(context.entry), _set(context.columns), _set(context.partners), _as_set(context.output_kind),
        _as_set(context.purpose), _as_set(context.place), context.at.astimezone(dt.UTC),
    )  # fmt: skip


def columns_of(scope: Scope, line: Line, hours: OpenHours) -> tuple[Any, ...]:
    """Return a policy line in the order of the model's policy definition."""
    return (
        scope.grant, scope.holder, line.deeds, line.operations, scope.entry, line.columns, line.partners,
        line.output_kinds, line.purposes, line.places, scope.valid_from, scope.valid_until, hours,
    )  # fmt: skip


def _find_furthest(needs: Sets, having: Sequence[tuple[int, Sets]]) -> tuple[int, tuple[int, ...]]:
    """Return how many attributes hold before the first that does not in the lines that go furthest, and these lines.

    The first line in which all hold is enough.
    """
    furthest, left = 0, []
    for number, have in having:
        reached = 0
        for need, has in zip(needs, have, strict=True):
            if not need <= has:
                break
            reached += 1
        else:
            return reached, (number,)
        if reached > furthest:
            furthest, left = reached, [number]
        elif reached == furthest:
            left.append(number)
    return furthest, tuple(left)


def _holds_all(needs: Sets, have: Sets) -> bool:
    return all(need <= has for need, has in zip(needs, have, strict=True))


def _said(thing: Line | Ask, plural: str) -> frozenset[str]:
    return frozenset(getattr(thing, plural)) - _UNSAID


def _counted_with(scope: Scope, quota: Quota) -> frozenset[str]:
    return _EMPTY.union(*(line.output_kinds for line in scope.lines if line.quota == quota))


def _outside(attribute: Attribute, left: Sequence[Line]) -> Refusal:
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
