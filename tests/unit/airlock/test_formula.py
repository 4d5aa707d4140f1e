"""The grammar of formulas: what it reads, and that it refuses everything else."""

from __future__ import annotations

import pytest

from sandbox.airlock.formula import Factor, How, parse_formula
from shuzha.core.errors import Invalid


def test_a_formula_has_an_outcome_and_terms() -> None:
    formula = parse_formula("log(base) ~ age + C(kind) + age:C(kind)")
    age, kind = Factor("age", How.NUMBER), Factor("kind", How.CATEGORY)
    assert formula.outcome == Factor("base", How.LOG)
    assert formula.terms == ((age,), (kind,), (age, kind))
    assert formula.columns == {"base", "age", "kind"}
    assert formula.categories == ("kind",)


def test_a_formula_reads_names_of_every_script_and_names_in_backticks() -> None:
    formula = parse_formula("基数 ~ C(`a+b: c`) + 年龄")
    assert formula.columns == {"基数", "a+b: c", "年龄"}
    assert parse_formula("y ~ 1").terms == ()


@pytest.mark.parametrize(
    "text",
    [
        "", "y", "y ~", "~ x", "y ~ x ~ z", "y ~ x +", "y ~ + x", "y ~ x::z", "y ~ x:", "y ~ exp(x)", "y ~ x ** 2",
        "y ~ x - 1", "y ~ __import__('os').system('id')", "y ~ C(x", "y ~ C(C(x))", "C(y) ~ x", "y ~ y", "y ~ x + x",
        "y ~ x:x", "y ~ a:b + b:a", "y ~ " + " + ".join(f"x{n}" for n in range(31)), "y ~ a:b:c:d", "y ~ 0",
        "y ~ 1 + x", "y ~ x; z", "y ~ `", "y ~ ``",
    ],
)  # fmt: skip
def test_a_formula_refuses_what_the_grammar_does_not_know(text: str) -> None:
    with pytest.raises(Invalid):
        parse_formula(text)
