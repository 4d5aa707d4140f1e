"""Why may, or may not: a decision taken apart, line by line, into what was asked and what is granted.

The answer is `Policies.decide`'s own, made anew; what is laid beside it is for people, and decides nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from policies.decisions import Context, Decision, Resource
from policies.engine import Policies
from policies.kept import KeptGrant
from policies.permissions import Permission
from policies.scopecheck import ATTRIBUTES, REQUIRED, Ask, Attribute, CompiledScope, ask_of
from policies.scopes import Line
from shuzha.core.actor import Actor


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was asked, beside what a policy line has for it; `clause` and `article` are what it rests on."""

    name: str
    asked: tuple[str, ...]
    granted: tuple[str, ...]
    holds: bool
    clause: str
    article: str


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """One policy line, as text, and its parts; the line allows when all of them hold."""

    number: int
    text: str
    parts: tuple[Part, ...]

    @property
    def allows(self) -> bool:
        """Whether every part holds."""
        return all(part.holds for part in self.parts)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, the lines of the roles file for its permission, and the grant's policy lines, nearest first.

    `missing` are attributes that the permission asks for and the request does not say; `standing` says whether the
    grant is in force (empty where it is, or where no grant is asked).
    """

    permission: str
    actor: str
    at: dt.datetime
    decision: Decision
    role_lines: tuple[str, ...]
    missing: tuple[str, ...] = ()
    standing: str = ""
    grant: str = ""
    version: str = ""
    lines: tuple[ExplainedLine, ...] = ()


def explain(policies: Policies, actor: Actor, permission: str, resource: Resource, context: Context) -> Explanation:
    """Return why the actor may, or may not, do this now; the grant's state is read anew."""
    if resource.grant:
        policies.forget(resource.grant)
    decision = policies.decide(actor, permission, resource, context)
    roles = tuple(line.text() for line in policies.roles.lines if line.permission.value == permission)
    bare = Explanation(permission, actor.id, context.at, decision, roles)
    if permission not in REQUIRED or not resource.grant or decision.code in ("fault", "moment", "scope.unknown"):
        return bare
    kept = policies.find_grant(resource.grant)
    if kept is None:
        return bare
    return _with_lines(bare, kept, ask_of(permission, resource, context), context)


def scope_permissions() -> tuple[Permission, ...]:
    """Return the permissions that ask a grant, in order."""
    return tuple(Permission(name) for name in sorted(REQUIRED))


def line_text(line: Line) -> str:
    """Return a policy line as people read it, part by part."""
    parts = [f"{', '.join(sorted(line.deeds))}"]
    for name, values in (
        ("operations", line.operations - {""}), ("output kinds", line.output_kinds), ("columns", line.columns),
        ("joined with", line.partners), ("purposes", line.purposes), ("places", line.places),
    ):  # fmt: skip
        if values:
            parts.append(f"{name}: {', '.join(sorted(values))}")
    if line.hours is not None:
        parts.append(f"hours: {line.hours.text()}")
    if line.quota is not None:
        parts.append(f"quota: {line.quota.limit} per {line.quota.per}")
    return "; ".join(parts)


def _with_lines(bare: Explanation, kept: KeptGrant, ask: Ask, context: Context) -> Explanation:
    compiled, scope = kept.compiled, kept.compiled.scope
    lines = [_explain_line(compiled, number, line, ask) for number, line in enumerate(scope.lines)]
    lines.sort(key=lambda line: sum(not part.holds for part in line.parts))
    missing = tuple(name for name in REQUIRED[bare.permission] if not getattr(context, name))
    return Explanation(
        bare.permission, bare.actor, bare.at, bare.decision, bare.role_lines, missing,
        "" if kept.active else kept.reason or "not in force", scope.grant, scope.version, tuple(lines),
    )  # fmt: skip


def _explain_line(compiled: CompiledScope, number: int, line: Line, ask: Ask) -> ExplainedLine:
    scope = compiled.scope
    parts = [
        _part(compiled, "holder", "parties", (ask.holder,), (scope.holder,), holds=ask.holder == scope.holder),
        _part(compiled, "entry", "entries", (ask.entry,), (scope.entry,), holds=ask.entry == scope.entry),
    ]
    parts += [_of_attribute(compiled, attribute, line, ask) for attribute in ATTRIBUTES]
    moment, term = ask.at.isoformat(), f"{scope.valid_from.isoformat()} to {scope.valid_until.isoformat()}"
    within = scope.valid_from <= ask.at < scope.valid_until
    parts.append(_part(compiled, "term", "term", (moment,), (term,), holds=within))
    if line.hours is not None:
        is_open = compiled.is_open(number, ask.at)
        parts.append(_part(compiled, "hours", "hours", (moment,), (line.hours.text(),), holds=is_open))
    return ExplainedLine(number, line_text(line), tuple(parts))


def _of_attribute(compiled: CompiledScope, attribute: Attribute, line: Line, ask: Ask) -> Part:
    asked, granted = sorted(attribute.asked(ask)), sorted(attribute.granted(line))
    return _part(compiled, attribute.name, attribute.part, asked, granted, holds=attribute.holds(line, ask))


def _part(
    compiled: CompiledScope, name: str, part: str, asked: list[str] | tuple[str, ...],
    granted: list[str] | tuple[str, ...], *, holds: bool,
) -> Part:  # fmt: skip
    cited = compiled.scope.cite(part)
    return Part(name, tuple(asked), tuple(granted), holds, cited.clause, cited.article)
