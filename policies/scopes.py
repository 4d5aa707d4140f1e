"""What one grant allows with data, and where the policy layer learns it from."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import msgspec

from policies.windows import STRICT, Hours
from shuzha.core.errors import Invalid

VERSION_LETTERS = 32
UNSAID = ""
"""What a request has as operation where it names none; a policy line that holds it does not ask for one."""
OWN_FILE = "own-file"
"""The partner of a join that is an operating unit's own reference file; other partners are ids of entries."""


class Deed(StrEnum):
    """What a policy line is about: use inside a place, a way out of it, or serving a product."""

    USE = "use"
    EXPORT = "export"
    SERVE = "serve"


class Period(StrEnum):
    """What a quota counts in: a day or a month of the city, or the whole term."""

    DAY = "day"
    MONTH = "month"
    TERM = "term"


@dataclass(frozen=True, slots=True)
class Quota:
    """At most so many uses in each period; the limiter counts them, a decision only says what holds."""

    __pydantic_config__ = STRICT
    limit: int
    per: Period = Period.DAY

    def __post_init__(self) -> None:
        if type(self.limit) is not int or self.limit < 0 or self.per not in set(Period):
            raise Invalid(
                "a quota that cannot be counted", rule="scope.quota", accepted="a whole number, per day, month or term"
            )
        object.__setattr__(self, "per", Period(self.per))

    def within(self, other: Quota) -> bool:
        """Return whether this quota allows nothing that the other does not: no more uses, in no shorter a period."""
        periods = tuple(Period)
        return self.limit <= other.limit and periods.index(self.per) >= periods.index(other.per)


@dataclass(frozen=True, slots=True)
class Citation:
    """The agreement's clause, and the article, behind one part of a scope (`columns`, `term`, `purposes` …)."""

    part: str
    clause: str
    article: str

    def text(self) -> str:
        """Return clause and article as a decision quotes them."""
        return f"{self.clause} ({self.article})" if self.article else self.clause


@dataclass(frozen=True, slots=True)
class Line:
    """One policy line: what is asked must lie within every set of it. `part` names the clause that it rests on.

    `deeds` are of `Deed`; `operations` are view, aggregate, join, train, verify, or unsaid; `partners` is what may be
    joined. `hours` narrow the scope's term, and `quota` is for the limiter.
    """

    deeds: frozenset[str]
    operations: frozenset[str]
    columns: frozenset[str]
    partners: frozenset[str]
    output_kinds: frozenset[str]
    purposes: frozenset[str]
    places: frozenset[str]
    part: str
    hours: Hours | None = None
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """The enforceable content of a grant; its term is half-open, [valid_from, valid_until).

    Make one with `make_scope`: `version` is the hash of all the rest, and a scope whose version is not its own is
    denied. What is allowed are the `lines`; the sets beside them say, for pages and plans, all that some line holds.
    `holder` is the organisation that it was granted to. `row_filter` limits rows where data is read (release, index);
    it is not asked in a decision.
    """

    grant: str
    authorization: str
    version: str
    entry: str
    columns: frozenset[str]
    row_filter: str
    operations: frozenset[str]
    output_kinds: frozenset[str]
    purposes: frozenset[str]
    places: frozenset[str]
    valid_from: dt.datetime
    valid_until: dt.datetime
    clause: str
    holder: str = ""
    lines: tuple[Line, ...] = ()
    citations: tuple[Citation, ...] = ()

    def computed_version(self) -> str:
        """Return the hash of the scope's content: what `version` has to be."""
        text = msgspec.json.encode(
            replace(self, version="", valid_from=_utc(self.valid_from), valid_until=_utc(self.valid_until)),
            order="deterministic",
        )
        return hashlib.sha256(text).hexdigest()[:VERSION_LETTERS]

    def cite(self, part: str) -> Citation:
        """Return the clause behind a part, or all that the scope rests on where the part has none of its own."""
        found = next((each for each in self.citations if each.part == part), None)
        return found or Citation(part, self.clause, "")


@dataclass(frozen=True, slots=True)
class ScopeState:
    """A grant's scope, and whether the grant is in force now; `reason` says why where it is not."""

    scope: Scope
    active: bool
    reason: str = ""


class ScopeSource(Protocol):
    """Whatever knows the grants: `shuzha.authorization` in the platform."""

    def find_scope(self, grant_id: str) -> ScopeState | None:
        """Return the grant's scope and state, or None where there is no such grant."""
        ...


class NoScopes:
    """A source without grants: every `data:*` permission is denied."""

    def find_scope(self, grant_id: str) -> ScopeState | None:
        """Return None, always."""
        return None


def seal_scope(scope: Scope) -> Scope:
    """Return the scope with its version computed; refuses a naive or empty term."""
    if scope.valid_from.tzinfo is None or scope.valid_until.tzinfo is None or scope.valid_from >= scope.valid_until:
        raise Invalid(
            f"the scope of grant {scope.grant} has no sound term",
            rule="scope.term",
            accepted="aware moments, start before end",
        )
    plain = replace(scope, version="", valid_from=_utc(scope.valid_from), valid_until=_utc(scope.valid_until))
    return replace(plain, version=plain.computed_version())


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)
