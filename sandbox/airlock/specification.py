"""The closed grammar in which an analyst says what an output is, so that the platform can compute it itself.

A specification is JSON of two kinds: a *table* (release, population, grouping, measure, aggregate, repair) and a
*verification* (entry, subject, claims). It is data and nothing else: no expression, callable or serialized plan has
a place in it, and a field that the grammar does not know is refused.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from shuzha.core.conditions import Op, Scalar
from shuzha.core.errors import Invalid

RULE: Final = "airlock.specification"
MAX_BYTES: Final = 64 * 1024
MAX_LISTED: Final = 1_000
MAX_CLAIMS: Final = 8

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

ColumnName = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class Aggregate(StrEnum):
    """The figures that a table can hold; a rule exists for each (`disclosure`), and nothing else is accepted."""

    COUNT = "count"
    ENTITIES = "entities"
    SUM = "sum"
    MEAN = "mean"
    STD = "std"
    VAR = "var"
    MIN = "min"
    MAX = "max"
    MEDIAN = "median"
    MODE = "mode"
    P05 = "p05"
    P10 = "p10"
    P25 = "p25"
    P75 = "p75"
    P90 = "p90"
    P95 = "p95"

    @property
    def needs_value(self) -> bool:
        """Whether the figure is computed from a value column; the counts are of rows and of entities."""
        return self not in (Aggregate.COUNT, Aggregate.ENTITIES)

    @property
    def is_point(self) -> bool:
        """Whether the figure is one value out of the middle of the others: a median, a percentile, the mode."""
        return self in (Aggregate.MEDIAN, Aggregate.MODE) or self.value.startswith("p")

    @property
    def share(self) -> float:
        """Below which share of the values a percentile lies."""
        return int(self.value[1:]) / 100


class Repair(StrEnum):
    """What the platform does to cells that a rule blocks before it checks and releases the table."""

    NONE = "none"
    SUPPRESS = "suppress"
    ROUND = "round"
    MIDPOINT6 = "midpoint6"


_COUNTS: Final = frozenset({Aggregate.COUNT, Aggregate.ENTITIES})
_REPAIRED: Final = {
    Repair.SUPPRESS: _COUNTS | {Aggregate.SUM, Aggregate.MEAN},
    Repair.ROUND: _COUNTS,
    Repair.MIDPOINT6: _COUNTS,
}


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One test on one column; the conditions of a list hold together. A null value meets only `is_null`."""

    column: ColumnName
    op: Op
    value: Scalar | list[Scalar] | None = None


class Merge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Labels of a grouping column that are shown as one, `into`; what is not among them stays as it is."""

    column: ColumnName
    labels: Annotated[list[Annotated[str, msgspec.Meta(max_length=300)] | None], msgspec.Meta(min_length=1)]
    into: Text


class Coding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How values are made coarser before anything is computed of them: cut at `bottom` and `top`, rounded to `step`."""

    bottom: float | None = None
    top: float | None = None
    step: float | None = None


class TableSpecification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="table"):
    """A table: `aggregate` of `value` by `rows` and `columns`, over the release's rows that meet `where`.

    `merges` and `coding` change labels and values before anything is grouped or computed.
    """

    release: Text
    rows: list[ColumnName]
    columns: list[ColumnName] = []
    where: list[Condition] = []
    value: ColumnName | None = None
    aggregate: Aggregate = Aggregate.COUNT
    repair: Repair = Repair.NONE
    merges: list[Merge] = []
    coding: Coding | None = None

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The grouping columns, rows first."""
        return (*self.rows, *self.columns)

    @property
    def used_columns(self) -> frozenset[str]:
        """Every column that the table reads."""
        value = () if self.value is None else (self.value,)
        return frozenset((*self.dimensions, *value, *(one.column for one in self.where)))


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One yes-or-no question: true of a subject when one of its rows meets every condition."""

    name: Text
    title: Text
    where: list[Condition]


class VerificationSpecification(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="verification"
):
    """A verification product to be: claims about the subjects of an entry, each named by its `subject` columns."""

    entry: Text
    subject: list[ColumnName]
    claims: list[Claim]

    @property
    def used_columns(self) -> frozenset[str]:
        """Every column that an index of this product reads."""
        return frozenset((*self.subject, *(one.column for claim in self.claims for one in claim.where)))


Specification = TableSpecification | VerificationSpecification

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
            "a specification is not JSON", rule=RULE, accepted="an object with `kind` table or verification"
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
        case VerificationSpecification():
            _check_verification(specification)


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
        if one.column not in table.dimensions:
            raise Invalid(f"a table merges labels of `{one.column}`", rule=RULE, accepted=", ".join(table.dimensions))
    if table.coding is not None:
        _check_coding(table.coding, table.value)


def _check_coding(coding: Coding, value: str | None) -> None:
    given = [one for one in (coding.bottom, coding.top, coding.step) if one is not None]
    if value is None or not given or not all(math.isfinite(one) for one in given):
        raise Invalid("a table codes no value", rule=RULE, accepted="`value`, and a finite bottom, top or step")
    if (coding.step is not None and coding.step <= 0) or (
        coding.bottom is not None and coding.top is not None and coding.bottom >= coding.top
    ):
        raise Invalid("a table's coding is out of order", rule=RULE, accepted="bottom < top, a step above zero")


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
