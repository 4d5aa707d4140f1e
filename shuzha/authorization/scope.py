"""A demand and an agreement become the scope that the policy layer enforces, each part with the clause behind it."""

from __future__ import annotations

from policies import OWN_FILE, Citation, Scope, make_scope
from shuzha.authorization.agreement import Agreement, canonical
from shuzha.authorization.model import DemandDraft
from shuzha.core.conditions import Condition

_DEMANDED = ("columns", "hours", "partners", "quota")
_CITED = ("entries", "purposes", "operations", "output_kinds", "term")


def compile_scope(grant: str, authorization: str, holder: str, draft: DemandDraft, agreement: Agreement) -> Scope:
    """Return the scope of a checked demand of the organisation `holder`; its version is the hash of all that it allows.

    Refuses a narrowing of what the demand does not ask for. A join without a partner named is with own files only.
    """
    return make_scope(
        grant=grant,
        authorization=authorization,
        holder=holder,
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
        partners=draft.joins or (OWN_FILE,),
        hours=draft.hours,
        quota=draft.quota,
        narrowed=draft.narrowed,
        citations=_citations(agreement),
    )


def _citations(agreement: Agreement) -> tuple[Citation, ...]:
    """Return the clause behind each part; what the agreement leaves to the scenario demand cites the demand."""
    agreed = {part: agreement.clause(part) for part in _CITED}
    found = [Citation(part, f"clause {clause.number}", clause.article) for part, clause in agreed.items()]
    found += [Citation(part, "the scenario demand", "J23 art. 16") for part in _DEMANDED]
    found.append(Citation("places", "the scenario demand", "J23 art. 15"))
    found.append(Citation("parties", "the parties of the agreement", "J23 art. 10(4)"))
    found.append(Citation("suspension", f"clause {agreement.clause('rights_and_duties').number}", "J23 art. 14"))
    return tuple(found)


def cite(agreement: Agreement) -> str:
    """Return the clauses and articles that a scope rests on, as a decision quotes them."""
    return "; ".join(f"{part}: {agreement.clause(part).citation()}" for part in _CITED)


def filter_text(row_filter: tuple[Condition, ...]) -> str:
    """Return the row filter as canonical JSON, empty where all rows are granted."""
    return canonical([condition.as_dict() for condition in row_filter]).decode() if row_filter else ""
