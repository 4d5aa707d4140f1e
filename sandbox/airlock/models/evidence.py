"""What the jailed worker answers: what it read and what it measured, checked by type before anything rests on it."""

from __future__ import annotations

import math
from typing import Any

import msgspec


class Attack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One membership attack: area under the curve with its 95 % interval, and members found at few false alarms."""

    name: str
    auc: float
    low: float
    high: float
    tpr_1: float
    tpr_1_low: float
    tpr_01: float | None
    members: int
    others: int


class Attribute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attribute inference on one sensitive column: the advantage over outsiders, and the lower end of its interval."""

    column: str
    advantage: float
    low: float


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that was measured of a program over its training rows and those held out.

    Entities and cells are of the training rows. `leaf`, `category` are the people at the thinnest place, None where the
    program has no such place; `thin_*` how many places lie below the limit. `free` counts fitted numbers.
    """

    entities: int
    holdout: int
    cells: int
    free: int
    numbers: int
    texts: tuple[str, ...]
    leaf: int | None
    leaves: int
    thin_leaves: int
    trees: int
    category: int | None
    thin_categories: int
    class_least: int | None
    extremes: int
    overlap_people: int
    overlap_share: float
    attacks: tuple[Attack, ...]
    shadows: int
    exposed: int
    exposed_wrongly: int
    holdout_gain: float
    holdout_error: float
    attributes: tuple[Attribute, ...]
    quality: float
    quality_baseline: float


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="refused"):
    """The file is not accepted: the rule, where, and what would be."""

    rule: str
    place: str
    accepted: str


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="read"):
    """The file was read: its format, the bytes that may be released, its types, and the evidence.

    `evidence` is None where nothing was measured, as for advice; `failed` says then which step could not be done.
    """

    format: str
    content: bytes
    types: tuple[str, ...]
    family: str
    numbers: int
    texts: tuple[str, ...]
    evidence: Evidence | None = None
    failed: str = ""


def decode_answer(data: bytes) -> Answer | Refusal:
    """Return the worker's answer; raises MsgspecError for another form, ValueError for a figure that is no number."""
    found: Answer | Refusal = msgspec.msgpack.decode(data, type=Answer | Refusal)
    if isinstance(found, Answer) and found.evidence is not None:
        _check_finite(msgspec.to_builtins(found.evidence))
    return found


def _check_finite(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            _check_finite(one)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a figure of the evidence is no number")
