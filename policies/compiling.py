"""What was granted becomes policy lines, few and typed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from policies.scopes import OWN_FILE, UNSAID, Citation, Deed, Line, Quota, Scope, seal_scope
from policies.windows import STRICT, Hours
from shuzha.core.errors import Invalid

JOIN = "join"
_EMPTY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Fewer columns, other hours or a quota for one act: an operation (`train`), `export:model`, `serve:report`.

    `columns` None leaves the grant's; hours and quota None leave those of the whole grant.
    """

    __pydantic_config__ = STRICT
    act: str
    columns: tuple[str, ...] | None = None
    hours: Hours | None = None
    quota: Quota | None = None


def make_scope(
    *,
    grant: str,
    authorization: str,
    holder: str,
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
    partners: Iterable[str] = (OWN_FILE,),
    hours: Hours | None = None,
    quota: Quota | None = None,
    narrowed: Sequence[Narrowing] = (),
    citations: Sequence[Citation] = (),
) -> Scope:
    """Return a scope with its lines and its version.

    Each operation, each way out and each form served is a line; equal ones are one. Refuses no holder, a naive or empty
    term, a narrowing of what is not granted, one that widens, and two of the same act.
    """
    if not holder:
        raise Invalid(f"grant {grant} has no holder", rule="scope.holder", accepted="the organisation it is given to")
    scope = Scope(
        grant, authorization, "", entry, frozenset(columns), row_filter, frozenset(operations),
        frozenset(output_kinds), frozenset(purposes), frozenset(places), valid_from, valid_until, clause,
        holder, (), tuple(citations),
    )  # fmt: skip
    acts = _acts_of(scope, frozenset(partners), hours, quota)
    for each in narrowed:
        _narrow(acts, each)
    if len({each.act for each in narrowed}) != len(narrowed):
        raise Invalid("an act is narrowed twice", rule="scope.narrowed", accepted="each act once")
    return seal_scope(replace(scope, lines=_merge(acts.values())))


def _acts_of(scope: Scope, partners: frozenset[str], hours: Hours | None, quota: Quota | None) -> dict[str, Line]:
    whole = Line(
        frozenset({Deed.USE}), frozenset({UNSAID}), scope.columns, _EMPTY, scope.output_kinds, scope.purposes,
        scope.places, "operations", hours, None,
    )  # fmt: skip
    acts = {Deed.USE.value: whole}
    for operation in sorted(scope.operations):
        joined = partners if operation == JOIN else _EMPTY
        acts[operation] = replace(whole, operations=frozenset({operation}), partners=joined)
    for kind in sorted(scope.output_kinds):
        out = replace(whole, output_kinds=frozenset({kind}), part="output_kinds")
        acts[f"{Deed.EXPORT}:{kind}"] = replace(out, deeds=frozenset({Deed.EXPORT}), operations=scope.operations)
        acts[f"{Deed.SERVE}:{kind}"] = replace(
            out, deeds=frozenset({Deed.SERVE}), operations=scope.operations | {UNSAID}, quota=quota
        )
    return acts


def _narrow(acts: dict[str, Line], narrowing: Narrowing) -> None:
    line = acts.get(narrowing.act)
    if line is None:
        raise Invalid(
            f"`{narrowing.act}` is narrowed and not granted", rule="scope.narrowed", accepted=", ".join(sorted(acts))
        )
    if narrowing.quota is not None and Deed.SERVE not in line.deeds:
        raise Invalid(
            f"`{narrowing.act}` is not counted, so it can have no quota",
            rule="scope.quota",
            accepted="an act `serve:...`",
        )
    columns = line.columns if narrowing.columns is None else frozenset(narrowing.columns)
    if not columns <= line.columns:
        raise Invalid(
            f"`{narrowing.act}` names columns that are not granted", rule="scope.narrowed",
            accepted=", ".join(sorted(line.columns)),
        )  # fmt: skip
    _check_fewer(narrowing, line)
    acts[narrowing.act] = replace(
        line, columns=columns, hours=narrowing.hours or line.hours, quota=narrowing.quota or line.quota
    )


def _check_fewer(narrowing: Narrowing, line: Line) -> None:
    """Refuse hours or a quota for one act that are more than the whole grant's: a narrowing only takes away."""
    hours, quota = narrowing.hours, narrowing.quota
    if hours is not None and line.hours is not None and not hours.within(line.hours):
        raise Invalid(
            f"`{narrowing.act}` has hours outside the grant's", rule="scope.narrowed",
            accepted=f"hours within {line.hours.text()}",
        )  # fmt: skip
    if quota is not None and line.quota is not None and not quota.within(line.quota):
        raise Invalid(
            f"`{narrowing.act}` has a larger quota than the grant", rule="scope.narrowed",
            accepted=f"at most {line.quota.limit} per {line.quota.per}, or per longer",
        )  # fmt: skip


def _merge(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return fewer lines that allow the same: lines that differ in operations alone, or in output kinds alone."""
    found = list(lines)
    for name in ("operations", "output_kinds"):
        kept: dict[Line, frozenset[str]] = {}
        for line in found:
            bare = _with(line, name, _EMPTY)
            kept[bare] = kept.get(bare, _EMPTY) | getattr(line, name)
        found = [_with(bare, name, union) for bare, union in kept.items()]
    return tuple(found)


def _with(line: Line, name: str, values: frozenset[str]) -> Line:
    changes: dict[str, Any] = {name: values}
    return replace(line, **changes)
