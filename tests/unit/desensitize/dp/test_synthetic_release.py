"""A synthetic release: its plan, its certificate without anything exact of the original, written whole."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from desensitize import InvalidInput, InvalidPlan
from desensitize.certificate import verify
from desensitize.dp.accounting import Accountant, BudgetSpent, Cap
from desensitize.synthetic import SyntheticPlan, release_synthetic

PLAN = """
title = "insured people, for a competition"

[columns.person]
technique = "drop"

[columns.wage]
technique = "generalize"
kind = "number"
edges = [3000, 6000, 12000]

[columns.district]
technique = "keep"

[columns.birth]
technique = "keep"

[synthetic]
epsilon = 1.0
delta = 1e-9
entity = "person"
method = "mst"

[synthetic.columns.district]
regions = "330100"

[synthetic.columns.birth]
edges = ["1940-01-01", "1970-01-01", "2010-01-01"]
"""
PAGE = (Path(__file__).parents[4] / "docs/reference/desensitize/synthetic.md").read_text(encoding="utf-8")
ROWS = 4_321
TABLE = pl.DataFrame(
    {
        "person": [f"person-{each}" for each in range(ROWS)],
        "wage": [2_500 + 3_100 * (each % 4) for each in range(ROWS)],
        "district": ["330106" if each % 3 else "330102" for each in range(ROWS)],
        "birth": ["1955-05-05" if each % 4 < 2 else "1999-09-09" for each in range(ROWS)],
    }
)


def change(**values: Any) -> dict[str, Any]:
    plan = tomllib.loads(PLAN)
    plan["synthetic"] = {name: value for name, value in (plan["synthetic"] | values).items() if value is not None}
    return plan


def test_release_has_the_columns_of_the_plan_and_no_person(tmp_path: Path) -> None:
    release = release_synthetic(TABLE, SyntheticPlan.from_toml(PLAN))
    frame = pl.read_parquet(release.write(tmp_path / "made") / "data.parquet")
    assert frame.schema == {"wage": pl.String, "district": pl.String, "birth": pl.Date}
    # Wages below 6,000 belong to those born before 1970, as in the original.
    low = frame["wage"].is_in(["<3000", "[3000,6000)"])
    assert (low == (frame["birth"].dt.year() < 1970)).mean() > 0.9
    written = json.loads((tmp_path / "made" / "certificate.json").read_text("utf-8"))
    assert written == release.certificate
    assert all(check.holds for check in verify(frame, written) if check.what != "classes")


def test_certificate_says_what_was_spent_and_nothing_exact_of_the_input() -> None:
    certificate = release_synthetic(TABLE, SyntheticPlan.from_dict(change(rows=100))).certificate
    told = certificate["done"]["synthetic"]
    assert told["privacy"]["spent"]["epsilon"] <= 1.0
    assert told["privacy"]["entity"] == "person"
    assert certificate["input"] is None
    assert str(ROWS) not in json.dumps(certificate["output"])
    assert "person-" not in json.dumps(certificate)


@pytest.mark.parametrize("text", [PLAN, re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]])
def test_plan_survives_being_written(text: str) -> None:
    plan = SyntheticPlan.from_toml(text)
    assert SyntheticPlan.from_dict(plan.to_dict()) == plan


def test_accountant_is_debited_before_the_table_is_looked_at() -> None:
    plan, accountant = SyntheticPlan.from_toml(PLAN), Accountant(Cap(1.0, 1e-8))
    release_synthetic(TABLE, plan, accountant=accountant)
    spent = accountant.spent
    assert spent.rho > 0
    # The second table has a value outside the domain: it is the budget that is refused, not the value.
    with pytest.raises(BudgetSpent):
        release_synthetic(TABLE.with_columns(district=pl.lit("nowhere")), plan, accountant=accountant)
    assert accountant.spent == spent


def test_command_writes_the_release(tmp_path: Path) -> None:
    from shuzha.server.cli import app

    TABLE.write_csv(tmp_path / "people.csv")
    (tmp_path / "plan.toml").write_text(PLAN, "utf-8")
    arguments = ["synthesize", str(tmp_path / "people.csv"), "--plan", str(tmp_path / "plan.toml"), "-o"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "made")])
    assert done.exit_code == 0, done.output
    assert "Differential privacy of epsilon 1" in " ".join(done.output.split())
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["certificate.json", "data.parquet"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epsilon": None}, "needs as a number: epsilon"),
        ({"delta": "small"}, "needs as a number: delta"),
        ({"budget": 1}, "no option: budget"),
        ({"columns": {}}, "column `district`: the plan does not say"),
        ({"columns": None}, "column `district`: the plan does not say"),
        ({"nulls": ["person"]}, "does not release: person"),
    ],
)
def test_plan_that_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPlan, match=message):
        SyntheticPlan.from_dict(change(**values))


def test_plan_for_both_kinds_of_release_is_refused() -> None:
    with pytest.raises(InvalidPlan, match="not for both"):
        SyntheticPlan.from_dict({**change(), "anonymity": {"quasi_identifiers": {}}})


@pytest.mark.parametrize("entity", ["nobody", "district"])
def test_entity_that_is_released_or_absent_is_refused(entity: str) -> None:
    with pytest.raises((InvalidPlan, InvalidInput), match=f"entity column `{entity}`"):
        release_synthetic(TABLE, SyntheticPlan.from_dict(change(entity=entity)))
