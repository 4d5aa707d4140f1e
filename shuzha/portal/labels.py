"""Names for people of values whose own word says too little: what evidence shows, what a fact is, a place of use."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from shuzha.authorization.agreement import Place
from shuzha.authorization.evidence import EvidenceKind
from shuzha.authorization.qualification import Fact

LABELS: Mapping[StrEnum, str] = {
    EvidenceKind.OPERATION: "Sound operation",
    EvidenceKind.COMPETENCE: "Competence",
    EvidenceKind.SECURITY: "Security of data",
    EvidenceKind.PLAN: "Operation plan, for the experts",
    EvidenceKind.TRAINING: "Pre-job training",
    EvidenceKind.OTHER: "Something else",
}
FACTS: Mapping[Fact, str] = {
    Fact.OPERATION: "Its operation is sound",
    Fact.COMPETENCE: "It has the competence",
    Fact.VIOLATIONS: "No major violation of law",
    Fact.DISHONESTY: "Not on the list of dishonest persons subject to enforcement",
    Fact.DISHONESTY_HEAD: "Legal representative: not on the list of dishonest persons",
    Fact.TAX: "No major tax offence",
    Fact.TAX_HEAD: "Legal representative: no major tax offence",
}
PLACES: Mapping[Place, str] = {Place.WORKSPACE: "Inside a workspace", Place.API: "Behind the consumer API"}
ALL = (*LABELS.values(), *FACTS.values(), *PLACES.values())


def label(value: StrEnum) -> str:
    """Return the message id of a value's name."""
    if isinstance(value, Fact):
        return FACTS[value]
    return PLACES[value] if isinstance(value, Place) else LABELS[value]
