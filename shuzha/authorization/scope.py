"""A demand and an agreement become the scope that the policy layer enforces, each part with the clause behind it."""

from __future__ import annotations

from policies import Scope, make_scope
from shuzha.authorization.agreement import Agreement, canonical
from shuzha.authorization.model import DemandDraft
from shuzha.core.conditions import Condition

_CITED = ("entries", "purposes", "operations", "output_kinds", "term")


def compile_scope(grant: str, authorization: str, draft: DemandDraft, agreement: Agreement) -> Scope:
    """Return the scope of a checked demand; its version is the hash of all that it allows."""
    return make_scope(
        grant=grant,
        authorization=authorization,
        entry=draft.entry,
        columns=draft.columns,
        row_filter=filter_text(draft.row_filter),
        operations=draft.operations,
        output_kinds=draft.output_kinds,
        purposes=draft.purposes,
        places=draft.places,
        valid_from=draft.term.start(),
        valid_until=draft.term.end(),
        clause=cite(agreement),
    )


def cite(agreement: Agreement) -> str:
    """Return the clauses and articles that a scope rests on, as a decision quotes them."""
    return "; ".join(f"{part}: {agreement.clause(part).citation()}" for part in _CITED)


def filter_text(row_filter: tuple[Condition, ...]) -> str:
    """Return the row filter as canonical JSON, empty where all rows are granted."""
    return canonical([condition.as_dict() for condition in row_filter]).decode() if row_filter else ""
