"""What one grant allows with data, and where the policy layer learns it from."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from shuzha.core.errors import Invalid

VERSION_LETTERS = 32


@dataclass(frozen=True, slots=True)
class Scope:
    """The enforceable content of a grant; its term is half-open, [valid_from, valid_until).

    Make one with `make_scope`: `version` is the hash of all the rest, and a scope whose version is not its own is
    denied. `row_filter` limits rows where data is read (release, index); it is not asked in a decision.
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

    def computed_version(self) -> str:
        """Return the hash of the scope's content: what `version` has to be."""
        text = msgspec.json.encode(
            replace(self, version="", valid_from=_utc(self.valid_from), valid_until=_utc(self.valid_until)),
            order="deterministic",
        )
        return hashlib.sha256(text).hexdigest()[:VERSION_LETTERS]


def make_scope(
    *,
    grant: str,
    authorization: str,
    entry: str,
    columns: Iterable[str],
    operations: Iterable[str],
    output_kinds: Iterable[str],
    purposes: Iterable[str],
    places: Iterable[str],
    valid_from: dt.datetime,
    valid_until: dt.datetime,
    clause: str,
    row_filter: str = "",
) -> Scope:
    """Return a scope with its version computed; refuses a naive or empty term."""
    if valid_from.tzinfo is None or valid_until.tzinfo is None or valid_from >= valid_until:
        raise Invalid(
            f"the scope of grant {grant} has no sound term",
            rule="scope.term",
            accepted="aware moments, start before end",
        )
    scope = Scope(
        grant, authorization, "", entry, frozenset(columns), row_filter, frozenset(operations),
        frozenset(output_kinds), frozenset(purposes), frozenset(places), _utc(valid_from), _utc(valid_until), clause,
    )  # fmt: skip
    return replace(scope, version=scope.computed_version())


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


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)
