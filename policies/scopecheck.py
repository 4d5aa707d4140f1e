"""What a grant's scope says to one request: Casbin decides, and a refusal is explained attribute by attribute."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from policies.decisions import Context, Decision, Resource
from policies.enforcers import TinyEnforcer
from policies.scopes import Scope

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "data:export": ("entry", "operation", "output_kind", "purpose", "place"),
    "data:index": ("entry", "columns", "operation", "output_kind", "place"),
    "data:join": ("entry", "columns", "operation", "place"),
    "data:open": ("entry", "operation", "place"),
    "data:release": ("entry", "columns"),
    "data:serve": ("entry", "output_kind", "purpose", "place"),
    "data:view": ("entry",),
}
"""The attributes that each scope permission asks for; without one of them it is denied. What is given beyond them must
lie within the scope too."""

_PLURALS = {
    "entry": "entries", "columns": "columns", "operation": "operations", "output_kind": "output_kinds",
    "purpose": "purposes", "place": "places",
}  # fmt: skip
_EMPTY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Segment:
    """A decision, and the half-open time in which it is the answer to the same question (None = without end)."""

    decision: Decision
    starts: dt.datetime | None
    ends: dt.datetime | None

    def covers(self, moment: dt.datetime) -> bool:
        """Return whether the decision holds at this moment."""
        return (self.starts is None or self.starts <= moment) and (self.ends is None or moment < self.ends)


class CompiledScope:
    """One version of one grant's scope as its own tiny Casbin enforcer; never changed, only replaced."""

    def __init__(self, scope: Scope) -> None:
        if scope.version != scope.computed_version():
            raise ValueError(f"the version of the scope of grant {scope.grant} is not the hash of its content")
        self.scope = scope
        line = (
            scope.grant, frozenset({scope.entry}), scope.columns, scope.operations, scope.output_kinds, scope.purposes,
            scope.places, scope.valid_from, scope.valid_until,
        )  # fmt: skip
        self._enforcer = TinyEnforcer("scope.conf", [line])

    def decide(self, permission: str, resource: Resource, context: Context) -> Segment:
        """Return the answer to this request and the time in which it stays the answer."""
        values = {plural: _as_set(getattr(context, name)) for name, plural in _PLURALS.items()}
        fault = self._find_mismatch(permission, resource, values)
        at = context.at.astimezone(dt.UTC)
        line = None if fault else self._enforcer.find_line(resource.grant, *values.values(), at)
        if line is not None:
            return self._segment(at, True, f"within grant {self.scope.grant}", "allowed")
        code, reason = fault or self._find_outside(values, at)
        return self._segment(at, False, f"`{permission}` is refused: {reason}", code)

    def rule(self) -> str:
        """Return the policy line's name and the clause behind it."""
        return f"scope {self.scope.grant}@{self.scope.version[:12]}; {self.scope.clause}"

    def _segment(self, at: dt.datetime, allowed: bool, reason: str, code: str) -> Segment:
        scope = self.scope
        if at < scope.valid_from:
            starts, ends = None, scope.valid_from
        elif at < scope.valid_until:
            starts, ends = scope.valid_from, scope.valid_until
        else:
            starts, ends = scope.valid_until, None
        return Segment(Decision(allowed, reason, self.rule(), scope.version, ends, code), starts, ends)

    def _find_mismatch(
        self, permission: str, resource: Resource, values: Mapping[str, frozenset[str]]
    ) -> tuple[str, str] | None:
        if resource.authorization and resource.authorization != self.scope.authorization:
            return "scope.authorization", f"grant {self.scope.grant} belongs to another authorization"
        for name in REQUIRED[permission]:
            if not values[_PLURALS[name]]:
                return f"scope.{name}.missing", f"the request does not say its {name.replace('_', ' ')}"
        return None

    def _find_outside(self, values: Mapping[str, frozenset[str]], at: dt.datetime) -> tuple[str, str]:
        scope = self.scope
        if at < scope.valid_from:
            return "scope.not_yet", f"the grant starts at {scope.valid_from.isoformat()}"
        if at >= scope.valid_until:
            return "scope.expired", f"the grant ended at {scope.valid_until.isoformat()}"
        allowed = {
            "entry": frozenset({scope.entry}), "columns": scope.columns, "operation": scope.operations,
            "output_kind": scope.output_kinds, "purpose": scope.purposes, "place": scope.places,
        }  # fmt: skip
        for name, within in allowed.items():
            if not values[_PLURALS[name]] <= within:
                granted = ", ".join(sorted(within)) or "nothing"
                return f"scope.{name}", f"its {name.replace('_', ' ')} lies outside the grant, which has: {granted}"
        return "scope.denied", "the grant does not allow it"


def _as_set(value: str | frozenset[str]) -> frozenset[str]:
    if isinstance(value, frozenset):
        return value
    if not isinstance(value, str):
        raise TypeError("an attribute of a request is a text or a frozenset of texts")
    return frozenset({value}) if value else _EMPTY
