"""The closed grammar in which an analyst says what an output is, so that the platform can compute it itself.

A specification is JSON of one of five kinds: a *table* (release, population, grouping, measure, aggregate, repair), a
*regression* (a formula), a *figure* (a table and how it is drawn), a *verification* (entry, subject, claims) and a
*service* (a table of an entry with parameters). It is data and nothing else: no expression, callable or serialized plan
has a place in it, and a field that the grammar does not know is refused.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Final

import msgspec

from sandbox.airlock.files.letters import plain_text
from sandbox.airlock.formula import parse_formula
from sandbox.airlock.grammar import (
    Aggregate,
    Claim,
    Coding,
    Condition,
    Draw,
    Errors,
    FigureSpecification,
    Merge,
    Model,
    Parameter,
    RegressionSpecification,
    Repair,
    ServiceSpecification,
    Specification,
    TableSpecification,
    VerificationSpecification,
)
from shuzha.core.conditions import Op
from shuzha.core.errors import Invalid

RULE: Final = "airlock.specification"
MAX_BYTES: Final = 64 * 1024
MAX_LISTED: Final = 1_000
MAX_CLAIMS: Final = 8
MAX_EDGES: Final = 61
MAX_TEXT: Final = 200
ROUND: Final = 1e-12

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

MAX_QUESTIONS: Final = 10_000
MOST_GROUPS: Final = 2
_CHOSEN: Final = frozenset({Op.EQ, Op.LT, Op.LE, Op.GT, Op.GE})
_ANSWERED: Final = frozenset({Aggregate.COUNT, Aggregate.ENTITIES, Aggregate.SUM, Aggregate.MEAN})
_COUNTS: Final = frozenset({Aggregate.COUNT, Aggregate.ENTITIES})
_REPAIRED: Final = {
    Repair.SUPPRESS: _COUNTS | {Aggregate.SUM, Aggregate.MEAN},
    Repair.ROUND: _COUNTS,
    Repair.MIDPOINT6: _COUNTS,
}


__all__ = [
    "Aggregate",
    "Claim",
    "Coding",
    "Condition",
    "Draw",
    "Errors",
    "FigureSpecification",
    "Merge",
    "Model",
    "Parameter",
    "RegressionSpecification",
    "Repair",
    "ServiceSpecification",
    "Specification",
    "TableSpecification",
    "VerificationSpecification",
    "check_specification",
    "encode",
    "parse",
]

_DECODER = msgspec.json.Decoder(Specification, strict=True)


def parse(data: bytes) -> Specification:
    """Return the specification that `data` says, checked.

    Refuses JSON that is not of the grammar (an unknown aggregate, operator or field, a wrong type), more than 64
    KiB, and what `check_specification` refuses.
    """
    if len(data) > MAX_BYTES:
        raise Invalid(
            "cannot read a specification of this size", rule=RULE, accepted=f"at most {MAX_BYTES} bytes of JSON"
        )
    try:
        found: Specification = _DECODER.decode(data)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"a specification refuses this JSON: {_place(error)}", rule=RULE, accepted=_accepted(str(error))
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid(
            "a specification is not JSON",
            rule=RULE,
            accepted="an object with `kind` table, regression, figure, verification or service",
        ) from None
    check_specification(found)
    return found


def encode(specification: Specification) -> bytes:
    """Return the one way to write a specification: what is hashed, signed and shown."""
    return msgspec.json.format(msgspec.json.encode(specification, order="deterministic"), indent=0)


def check_specification(specification: Specification) -> None:
    """Refuse what is well-formed but says nothing: a grouping twice, no value where one is needed, no claim."""
    match specification:
        case TableSpecification():
            _check_table(specification)
        case FigureSpecification():
            _check_figure(specification)
        case RegressionSpecification():
            parse_formula(specification.formula)
            _check_conditions(specification.where)
        case VerificationSpecification():
            _check_verification(specification)
        case ServiceSpecification():
            _check_service(specification)


def _check_table(table: TableSpecification) -> None:
    if len(set(table.dimensions)) != len(table.dimensions):
        raise Invalid("a table groups by one column twice", rule=RULE, accepted="each column once in rows and columns")
    if table.aggregate.needs_value and table.value is None:
        raise Invalid(f"a table of `{table.aggregate}` names no value", rule=RULE, accepted="`value`: a numeric column")
    if table.value is not None and table.value in table.dimensions:
        raise Invalid(
            f"a table groups by its value `{table.value}`", rule=RULE, accepted="a value that is not a grouping"
        )
    _check_repairs(table)
    _check_conditions(table.where)


def _check_figure(figure: FigureSpecification) -> None:
    table, edges = figure.table, figure.edges
    _check_table(table)
    if figure.draw is Draw.HISTOGRAM:
        rising = all(math.isfinite(one) for one in edges) and all(one < two for one, two in pairwise(edges))
        if not (2 <= len(edges) <= MAX_EDGES and rising) or table.value is None or len(table.dimensions) > 1:
            raise Invalid(
                "a histogram has no sound bins", rule=RULE,
                accepted=f"`value`, 2 to {MAX_EDGES} rising `edges`, at most one grouping",
            )  # fmt: skip
        if table.aggregate not in _COUNTS:
            raise Invalid(f"a histogram shows `{table.aggregate}`", rule=RULE, accepted=", ".join(sorted(_COUNTS)))
        return
    if edges or not (figure.draw is Draw.BOX or len(table.dimensions) >= 1) or len(table.dimensions) > 2:
        raise Invalid(
            "a figure does not fit its table", rule=RULE, accepted="one or two groupings, edges for a histogram"
        )
    if figure.draw is Draw.BOX and (table.aggregate is not Aggregate.MEDIAN or table.repair is not Repair.NONE):
        raise Invalid("a box has a table of another figure", rule=RULE, accepted="`aggregate`: median, no repair")


def _check_repairs(table: TableSpecification) -> None:
    """Refuse repairs that do not fit the table: each says only what it can keep."""
    if table.repair is not Repair.NONE and table.aggregate not in _REPAIRED[table.repair]:
        raise Invalid(
            f"repair `{table.repair}` refuses a table of `{table.aggregate}`", rule=RULE,
            accepted=", ".join(sorted(_REPAIRED[table.repair])),
        )  # fmt: skip
    if table.repair is Repair.SUPPRESS and not table.dimensions:
        raise Invalid("suppression refuses a single figure", rule=RULE, accepted="a column in rows or columns")
    merged = [(one.column, label) for one in table.merges for label in one.labels]
    if len(set(merged)) != len(merged) or len(merged) > MAX_LISTED:
        raise Invalid(
            "a table merges a label twice, or too many", rule=RULE, accepted=f"each once, {MAX_LISTED} in all"
        )
    for one in table.merges:
        _check_text(one.into, "a table merges labels into one")
        if one.column not in table.dimensions:
            raise Invalid(f"a table merges labels of `{one.column}`", rule=RULE, accepted=", ".join(table.dimensions))
    if table.coding is not None:
        _check_coding(table.coding, table.value)


def _check_coding(coding: Coding, value: str | None) -> None:
    given = [one for one in (coding.bottom, coding.top, coding.step) if one is not None]
    if value is None or not given or not all(math.isfinite(one) for one in given):
        raise Invalid("a table codes no value", rule=RULE, accepted="`value`, and a finite bottom, top or step")
    if coding.step is not None and not _is_round(coding.step):
        # A step of 1.0000001 moves everybody a little, so that nobody sees of whom more was cut off.
        raise Invalid("a table's step is no round number", rule=RULE, accepted="1, 2, 2.5 or 5 times a power of ten")
    if coding.bottom is not None and coding.top is not None and coding.bottom >= coding.top:
        raise Invalid("a table's coding is out of order", rule=RULE, accepted="bottom < top, a step above zero")


def _is_round(step: float) -> bool:
    if not 1e-12 < step < 1e15:
        return False
    first = step / 10.0 ** math.floor(math.log10(step))
    return any(abs(first - one) < ROUND for one in (1, 2, 2.5, 5, 10))


def _check_verification(verification: VerificationSpecification) -> None:
    names = [claim.name for claim in verification.claims]
    if not verification.subject or len(set(verification.subject)) != len(verification.subject):
        raise Invalid(
            "a verification names no subject, or a column twice", rule=RULE, accepted="`subject`: one column or more"
        )
    if not names or len(set(names)) != len(names):
        raise Invalid(
            "a verification has no claim, or two of one name", rule=RULE, accepted="`claims`: each with its own name"
        )
    if len(names) > MAX_CLAIMS:
        raise Invalid(f"a verification has {len(names)} claims", rule=RULE, accepted=f"at most {MAX_CLAIMS}")
    for claim in verification.claims:
        if not _NAME.fullmatch(claim.name):
            raise Invalid(
                "a claim has a name that no address can hold", rule=RULE, accepted="a-z, 0-9 and _, at most 40"
            )
        _check_text(claim.title, f"claim `{claim.name}` has a title")
        if not claim.where:
            raise Invalid(f"claim `{claim.name}` is true of everybody", rule=RULE, accepted="at least one condition")
        asked = {one.column for one in claim.where}.intersection(verification.subject)
        if asked:
            # Which identifiers there are could be searched out by asking; who is meant is the caller's to say.
            raise Invalid(
                f"claim `{claim.name}` asks about subject column `{min(asked)}`", rule=RULE,
                accepted="conditions on columns that do not name the subject",
            )  # fmt: skip
        _check_conditions(claim.where)


def _check_service(service: ServiceSpecification) -> None:
    names = [one.name for one in service.parameters]
    if not names or len(set(names)) != len(names) or not all(_NAME.fullmatch(name) for name in names):
        raise Invalid(
            "a service has no parameter, two of one name, or one that no address can hold", rule=RULE,
            accepted="`parameters`: each with its own name of a-z, 0-9 and _, at most 40; none is `purpose`",
        )  # fmt: skip
    if "purpose" in names:
        raise Invalid("a service's parameter is named `purpose`", rule=RULE, accepted="another name: that one is taken")
    for one in service.parameters:
        if one.op not in _CHOSEN or not one.domain or len(set(map(str, one.domain))) != len(one.domain):
            raise Invalid(
                f"parameter `{one.name}` has no closed domain", rule=RULE,
                accepted=f"`domain`: each value once; `op`: {', '.join(sorted(_CHOSEN))}",
            )  # fmt: skip
    if service.aggregate not in _ANSWERED or len(service.rows) > MOST_GROUPS:
        raise Invalid(
            f"a service of `{service.aggregate}` by {len(service.rows)} groupings", rule=RULE,
            accepted=f"{', '.join(sorted(_ANSWERED))}, by at most {MOST_GROUPS}",
        )  # fmt: skip
    if service.questions > MAX_QUESTIONS:
        raise Invalid(
            f"a service answers {service.questions} questions", rule=RULE, accepted=f"at most {MAX_QUESTIONS} in all"
        )
    check_specification(service.table(service.entry, {}))
    for one in service.parameters:
        _check_conditions([Condition(one.column, one.op, value) for value in one.domain])


def _check_text(text: str, what: str) -> None:
    """Refuse text of the specification's own that people would read and that could hold what they cannot see."""
    if plain_text(text) != text or len(text) > MAX_TEXT:
        raise Invalid(
            f"{what} that people cannot read as it is", rule=RULE,
            accepted=f"at most {MAX_TEXT} letters: single blanks, no unseen characters, no long fractions",
        )  # fmt: skip


def _check_conditions(conditions: list[Condition]) -> None:
    for one in conditions:
        wanted = _wanted(one)
        if wanted is not None:
            raise Invalid(
                f"condition `{one.op}` on column `{one.column}` has no fitting value", rule=RULE, accepted=wanted
            )


def _wanted(condition: Condition) -> str | None:
    """Return what the operator would accept as its value, or None when the condition has it."""
    match condition.op:
        case Op.IS_NULL | Op.NOT_NULL:
            return None if condition.value is None else "no value"
        case Op.IN:
            good = isinstance(condition.value, list) and 1 <= len(condition.value) <= MAX_LISTED
            return None if good else f"a list of 1 to {MAX_LISTED} values"
        case _:
            return "one value" if condition.value is None or isinstance(condition.value, list) else None


def _place(error: msgspec.ValidationError) -> str:
    # msgspec says what was wrong and where (`$.where[0].op`); an invalid enum value is quoted by it and left out here.
    return re.sub(r"Invalid (enum )?value .*?(?= - at|$)", "a word outside its list", str(error))


def _accepted(message: str) -> str:
    if "aggregate" in message:
        return ", ".join(Aggregate)
    if ".op" in message:
        return ", ".join(Op)
    if "repair" in message:
        return ", ".join(Repair)
    return "the fields of docs/reference/airlock.md"
