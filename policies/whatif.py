"""What would change if a scope were another: line by line, and question by question.

The questions are all that the older or the newer scope can tell apart: each permission with each operation, output
kind, purpose, place and partner that one of them names, each column alone, at the moments beside each edge of both
terms and, where lines have hours, beside the first opening and closing between two edges.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from policies.decisions import Context, Decision, Resource
from policies.explain import line_text
from policies.scopecheck import REQUIRED, CompiledScope, Segment
from policies.scopes import Scope, seal_scope
from policies.windows import OpenHours
from shuzha.core.calendar import WorkingCalendar
from shuzha.core.errors import Invalid

MOST_QUESTIONS = 40_000
_TICK = dt.timedelta(microseconds=1)
_LONGEST_CLOSURE = dt.timedelta(days=30)
_SETS = ("columns", "operations", "output_kinds", "purposes", "places")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a scope, and what of it would be gained and lost."""

    name: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flip:
    """A question that would be answered otherwise; `reason`, `rule`, `code` are those of the answer it would get."""

    permission: str
    context: Context
    allowed: bool
    reason: str
    rule: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change of scope does: parts, policy lines, answers.

    `asked` questions were put to both scopes; where there were more than `MOST_QUESTIONS`, `complete` is false and
    `flips` are those that were found, while parts and lines are always whole.
    """

    grant: str
    before: str
    after: str
    parts: tuple[Part, ...]
    lines_gained: tuple[str, ...]
    lines_lost: tuple[str, ...]
    asked: int
    flips: tuple[Flip, ...]
    complete: bool

    @property
    def widens(self) -> bool:
        """Whether something would be allowed that is not."""
        return any(flip.allowed for flip in self.flips)

    @property
    def narrows(self) -> bool:
        """Whether something would be refused that is allowed."""
        return any(not flip.allowed for flip in self.flips)


def cut_scope(scope: Scope, **within: Iterable[str] | tuple[dt.datetime, dt.datetime]) -> Scope | None:
    """Return the scope cut down to what a changed agreement still holds, or None where nothing is left.

    `within` names parts: `columns`, `operations`, `output_kinds`, `purposes`, `places` as sets, `entries` likewise, and
    `term` as two moments. Nothing is ever added.
    """
    unknown = sorted(set(within) - {*_SETS, "entries", "term"})
    if unknown:
        raise Invalid(
            f"a scope has no part `{unknown[0]}`", rule="scope.part", accepted=", ".join((*_SETS, "entries", "term"))
        )
    if scope.entry not in set(within.get("entries", (scope.entry,))):
        return None
    start, end = within.get("term", (scope.valid_from, scope.valid_until))
    if not isinstance(start, dt.datetime) or not isinstance(end, dt.datetime):
        raise Invalid("a term is two moments", rule="scope.term", accepted="aware moments, start before end")
    start, end = max(start, scope.valid_from), min(end, scope.valid_until)
    if start >= end:
        return None
    kept = {name: getattr(scope, name) & frozenset(map(str, within.get(name, getattr(scope, name)))) for name in _SETS}
    lines = []
    for line in scope.lines:
        sets = {name: getattr(line, name) & (kept[name] | {""}) for name in _SETS}
        if sets["operations"] and sets["places"] and (sets["output_kinds"] or not line.output_kinds):
            lines.append(replace(line, **sets))
    return seal_scope(replace(scope, valid_from=start, valid_until=end, lines=tuple(dict.fromkeys(lines)), **kept))


def compare_scopes(before: Scope, after: Scope | None, calendar: WorkingCalendar | None = None) -> Difference:
    """Return what would change if `after` stood in for `before` (None: the grant would end)."""
    parts = [_part(name, getattr(before, name), getattr(after, name) if after else frozenset()) for name in _SETS]
    parts.append(_part("term", _term(before), _term(after) if after else frozenset()))
    old = {line_text(line): None for line in before.lines}
    new = {line_text(line): None for line in after.lines} if after else {}
    asked, flips = _ask_both(before, after, calendar or WorkingCalendar())
    return Difference(
        before.grant, before.version, after.version if after else "",
        tuple(part for part in parts if part.gained or part.lost),
        tuple(text for text in new if text not in old), tuple(text for text in old if text not in new), asked, flips,
        asked < MOST_QUESTIONS,
    )  # fmt: skip


def questions(*scopes: Scope, calendar: WorkingCalendar | None = None) -> Iterator[tuple[str, Context]]:
    """Yield every question that one of the scopes can answer otherwise than another, at most `MOST_QUESTIONS`."""
    known = calendar or WorkingCalendar()
    moments = _moments(scopes, known)
    found = ((permission, replace(asked, at=at)) for permission, asked in _questions(scopes) for at in moments)
    return itertools.islice(found, MOST_QUESTIONS)


def _moments(scopes: tuple[Scope, ...], calendar: WorkingCalendar) -> list[dt.datetime]:
    """Return when each question is asked, in order: beside the edges of the terms, and of the first hours between."""
    edges = sorted({edge for scope in scopes for edge in (scope.valid_from, scope.valid_until)})
    hours = {line.hours: OpenHours(line.hours, calendar) for scope in scopes for line in scope.lines if line.hours}
    turns = [turn for each in hours.values() for pair in itertools.pairwise(edges) for turn in _turns(each, *pair)]
    return sorted({at + step for at in (*edges, *turns) for step in (-_TICK, dt.timedelta(0))})


def _questions(scopes: tuple[Scope, ...]) -> Iterator[tuple[str, Context]]:
    """Yield each question once, at some moment."""
    words = {name: sorted(frozenset[str]().union(*(getattr(scope, name) for scope in scopes))) for name in _SETS}
    partners = sorted({partner for scope in scopes for line in scope.lines for partner in line.partners})
    at, entry = scopes[0].valid_from, scopes[0].entry
    for permission, needed in REQUIRED.items():
        # What a permission does not ask for is left unsaid once, too: a line may hold it against the request.
        pools = [
            words["places"] if "place" in needed else ["", *words["places"]],
            words["operations"] if "operation" in needed else ["", *words["operations"]],
            words["output_kinds"] if "output_kind" in needed else [""],
            words["purposes"] if "purpose" in needed else [""],
            partners if "partners" in needed else [""],
            words["columns"] if "columns" in needed else ["", *words["columns"]],
        ]
        for place, operation, kind, purpose, partner, column in itertools.product(*pools):
            columns, joined = frozenset({column} - {""}), frozenset({partner} - {""})
            yield permission, Context(at, entry, columns, operation, kind, purpose, place, joined)


def _turns(hours: OpenHours, start: dt.datetime, end: dt.datetime) -> tuple[dt.datetime, ...]:
    """Return when the hours first open, and then close, between two moments; none where they do not."""
    at = start
    while at < end and at - start < _LONGEST_CLOSURE:
        closes = hours.around(at)[1]
        if at in hours:
            return at, min(closes, end)
        at = closes
    return ()


def _ask_both(before: Scope, after: Scope | None, calendar: WorkingCalendar) -> tuple[int, tuple[Flip, ...]]:
    resource = Resource("data", organisation=before.holder, authorization=before.authorization, grant=before.grant)
    old, new = CompiledScope(before, calendar), CompiledScope(after, calendar) if after else None
    scopes = (before, after) if after else (before,)
    moments = _moments(scopes, calendar)
    asked: int = 0
    flips: list[Flip] = []
    for permission, context in _questions(scopes):
        left = moments[: MOST_QUESTIONS - asked]
        asked += len(left)
        was_at = _answers(old, permission, resource, context, left)
        is_at = _answers(new, permission, resource, context, left) if new else itertools.repeat(None)
        for at, was, is_now in zip(left, was_at, is_at, strict=False):
            if is_now is None and was.allowed:
                reason = "nothing of the grant would be left"
                flips.append(Flip(permission, replace(context, at=at), False, reason, was.rule, "gone"))
            elif is_now is not None and was.allowed is not is_now.allowed:
                now = replace(context, at=at)
                flips.append(Flip(permission, now, is_now.allowed, is_now.reason, is_now.rule, is_now.code))
        if asked == MOST_QUESTIONS:
            break
    return asked, tuple(flips)


def _answers(
    scope: CompiledScope, permission: str, resource: Resource, context: Context, moments: list[dt.datetime]
) -> Iterator[Decision]:
    """Yield the answer at each moment; what is still the answer at the next one is not asked again."""
    segment: Segment | None = None
    for at in moments:
        if segment is None or not segment.starts <= at < segment.ends:
            segment = scope.decide(permission, resource, replace(context, at=at))
        yield segment.decision


def _part(name: str, before: frozenset[str], after: frozenset[str]) -> Part:
    return Part(name, tuple(sorted(after - before)), tuple(sorted(before - after)))


def _term(scope: Scope) -> frozenset[str]:
    return frozenset({f"from {scope.valid_from.isoformat()}", f"until {scope.valid_until.isoformat()}"})
