"""The closed grammar of a regression's formula: `outcome ~ term + term`, and nothing that runs.

    base ~ age + C(kind) + age:C(kind)
    paid ~ log(base)

A term is one factor or a product of several (`:`); a factor is a column, `C(column)` for a column of categories, or
`log(column)`. A column whose name is not a plain word stands in backticks. There is always an intercept; `y ~ 1` has
nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shuzha.core.errors import Invalid

RULE: Final = "airlock.formula"
MAX_TERMS: Final = 30
MAX_FACTORS: Final = 3
MAX_CHARACTERS: Final = 1_000
ACCEPTED: Final = "outcome ~ term + term; a term is column, C(column) or log(column), or several joined by a colon"

_WORD = r"[^\W\d]\w*|`[^`]{1,120}`"
_FACTOR = re.compile(rf"\s*(?:(?P<how>C|log)\(\s*(?P<inner>{_WORD})\s*\)|(?P<plain>{_WORD}))\s*")


class How(StrEnum):
    """How a column enters: as its number, as categories, or as its natural logarithm."""

    NUMBER = "number"
    CATEGORY = "C"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Factor:
    """One column of the data and how it enters."""

    column: str
    how: How

    def __str__(self) -> str:
        return self.column if self.how is How.NUMBER else f"{self.how.value}({self.column})"


Term = tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class Formula:
    """What is explained, and by what."""

    outcome: Factor
    terms: tuple[Term, ...]

    @property
    def columns(self) -> frozenset[str]:
        """Every column that the formula reads."""
        return frozenset((self.outcome.column, *(factor.column for term in self.terms for factor in term)))

    @property
    def categories(self) -> tuple[str, ...]:
        """The columns that enter as categories, in order."""
        found = (factor.column for term in self.terms for factor in term if factor.how is How.CATEGORY)
        return tuple(dict.fromkeys(found))


def parse_formula(text: str) -> Formula:
    """Return the formula that `text` says; refuses whatever is not of the grammar, and a term or factor twice."""
    left, sign, right = text.partition("~")
    if not sign or "~" in right or len(text) > MAX_CHARACTERS:
        raise _refused()
    outcome = _factor(left)
    if outcome.how is How.CATEGORY:
        raise Invalid("a formula explains categories", rule=RULE, accepted="a number, true or false, or log(number)")
    if right.strip() == "1":
        return Formula(outcome, ())
    terms = tuple(tuple(_factor(part) for part in _split(one, ":")) for one in _split(right, "+"))
    if len(terms) > MAX_TERMS or max(map(len, terms)) > MAX_FACTORS:
        raise Invalid("a formula is too long", rule=RULE, accepted=f"{MAX_TERMS} terms of {MAX_FACTORS} factors")
    if len({frozenset(term) for term in terms}) != len(terms) or any(len(set(term)) != len(term) for term in terms):
        raise Invalid("a formula has a term or a factor twice", rule=RULE, accepted="each once")
    if any(factor.column == outcome.column for term in terms for factor in term):
        raise Invalid("a formula explains a column by itself", rule=RULE, accepted="another column")
    return Formula(outcome, terms)


def _split(text: str, sign: str) -> list[str]:
    """Return the parts of the text between signs that do not stand in backticks."""
    return re.findall(rf"(?:`[^`]*`|[^`{re.escape(sign)}])+|(?<={re.escape(sign)})(?={re.escape(sign)}|$)", text) or [
        ""
    ]


def _factor(text: str) -> Factor:
    found = _FACTOR.fullmatch(text)
    if found is None:
        raise _refused()
    how = How(found["how"]) if found["how"] else How.NUMBER
    return Factor((found["inner"] or found["plain"]).strip("`"), how)


def _refused() -> Invalid:
    return Invalid("a formula is not of the grammar", rule=RULE, accepted=ACCEPTED)
