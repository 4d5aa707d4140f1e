"""What a table, regression or figure says of one person, tried one rule at a time.

Each attack is a specification that only one rule holds back. The control is the same screening without that rule's
findings: then the output leaves, and what the attacker reckons from its bytes is the victim's own value. Nothing here
needs root: the platform computes and judges for real, over a release of invented people.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sandbox.airlock.findings import Severity, worst
from sandbox.airlock.inputs import Source
from sandbox.airlock.model import ExportRequest, ExportState
from sandbox.airlock.repairs import suppression
from sandbox.airlock.rules import Rules
from sandbox.airlock.screening import Allows, Judged, Screener
from sandbox.airlock.vault import Vault
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind

VICTIM = 0
SALARY = 987_654.0


def people(count: int = 400) -> pl.DataFrame:
    """Invented people: the victim earns far more than anybody, and has what few have."""
    number = np.arange(count)
    return pl.DataFrame({
        "person": number, "place": [("A", "B", "C", "D")[n % 4] for n in number],
        "salary": np.where(number == VICTIM, SALARY, 3_000.0 + (number * 7919) % 997), "age": 30.0 + (number * 31) % 37,
        "ill": number == VICTIM, "wealth": np.where(number == VICTIM, 500.0, (number * 13) % 29).astype(float),
    })  # fmt: skip


class GivenInputs:
    """One release, of which it is known whose a row is."""

    def __init__(self, frame: pl.DataFrame, entity: str | None = "person") -> None:
        self._frame, self._entity = frame, entity

    def release(self, release_id: str) -> Source:
        return Source(
            release="rel_1", name="people", grant="grt_1", demand="dem_1", authorization="aut_1", operator="org_unit",
            entry="ent_1", entry_code="20", entry_name="people", version=1, entity=self._entity, entity_missing=False,
            columns=tuple(self._frame.columns), frame=self._frame.lazy(),
        )  # fmt: skip

    def entry(self, release_id: str) -> Source:
        return self.release(release_id)


class ScreenerWithout(Screener):
    """Drops what some rules say."""

    dropped: tuple[str, ...] = ()

    def judge(self, request: ExportRequest, declared: Declared, allows: Allows) -> Judged:
        judged = super().judge(request, declared, allows)
        kept = tuple(one for one in judged.findings if one.rule not in self.dropped)
        return replace(judged, file=replace(judged.file, verdict=worst(kept)), findings=kept)


class Attack:
    """An output asked for by somebody who wants to know of one person."""

    def __init__(self, folder: Path, frame: pl.DataFrame, *, rules: Rules, entity: str | None = "person") -> None:
        self._vault = Vault(folder / "vault")
        self._parts = (GivenInputs(frame, entity), self._vault, rules)

    def held_by(self, asked: dict[str, Any], content: bytes | None = None) -> set[str]:
        """Return the rules that hold the output back."""
        judged = self._judge(Screener(*self._parts), asked, content)
        return {finding.rule for finding in judged.findings if finding.severity is Severity.BLOCK}

    def leaves_without(self, rules: str, asked: dict[str, Any], content: bytes | None = None) -> bytes:
        """Return the bytes that leave once nothing is heard of these rules."""
        screener = ScreenerWithout(*self._parts)
        screener.dropped = tuple(rules.split())
        judged = self._judge(screener, asked, content)
        assert judged.file.verdict != "block", judged.findings
        return self._vault.get(judged.file.sha256)

    def _judge(self, screener: Screener, asked: dict[str, Any], content: bytes | None) -> Judged:
        request = ExportRequest(
            "exp_1", "t", "c", "acc_a", "org_unit", "ws", "aut_1", "sc", "p", ("rel_1",), (), "", ExportState.RERUNNING,
            dt.datetime(2026, 3, 2, tzinfo=dt.UTC),
        )  # fmt: skip
        kind = OutputKind(asked.get("kind", "file"))
        said = None if kind is OutputKind.FILE else json.dumps(asked).encode()
        return screener.judge(request, Declared("out", kind, "", said, content, "text/csv"), lambda *_: None)


@pytest.fixture
def attack(tmp_path: Path) -> Callable[..., Attack]:
    def made(frame: pl.DataFrame | None = None, entity: str | None = "person", **rules: Any) -> Attack:
        return Attack(tmp_path, people() if frame is None else frame, rules=Rules(**rules), entity=entity)

    return made


def table(**fields: Any) -> dict[str, Any]:
    return {"kind": "table", "release": "people", "rows": [], **fields}


def figure(data: bytes, **labels: str) -> float:
    """The figure of one cell of a table that left."""
    frame = pl.read_csv(io.BytesIO(data), infer_schema=False)
    for name, label in labels.items():
        frame = frame.filter(pl.col(name) == label)
    return float(frame.item(0, -1))


BY_ONE = {"column": "wealth", "op": "gt", "value": 100}


@pytest.mark.attack(
    what="a count of one: who of this place is rich", route="a specification", layer="disclosure rules",
    control="without min_count it leaves, and says 1",
)  # fmt: skip
def test_min_count_holds_a_count_of_one(attack: Callable[..., Attack]) -> None:
    asked = table(rows=["place"], where=[BY_ONE], aggregate="entities")
    assert attack().held_by(asked) == {"min_count"}
    assert figure(attack().leaves_without("min_count", asked), place="A") == 1


@pytest.mark.attack(
    what="a cell of one person in twelve rows", route="a specification", layer="disclosure rules",
    control="where rows count as people it leaves, with that person's sum",
)  # fmt: skip
def test_min_count_counts_people_in_rows(attack: Callable[..., Attack]) -> None:
    months = pl.concat(
        [people().with_columns(month=pl.lit(month), salary=pl.col("salary") + month) for month in range(12)]
    )
    asked = table(where=[BY_ONE], value="salary", aggregate="sum")
    off = {"nk_k": 1.0, "p_percent": 0.0}
    assert attack(months, **off).held_by(asked) >= {"min_count"}
    assert attack(months, entity=None, **off).held_by(asked) == set()
    left = attack(months, entity=None, **off).leaves_without("", asked)
    assert figure(left) / 12 == pytest.approx(SALARY, rel=0.001)


@pytest.mark.attack(
    what="a sum of a hundred that is nearly all one person's", route="a specification", layer="disclosure rules",
    control="without dominance_nk it leaves, and its sum is the victim's salary to a third",
)  # fmt: skip
def test_dominance_nk_holds_a_sum_that_is_one_persons(attack: Callable[..., Attack]) -> None:
    asked = table(
        rows=["place"], value="salary", aggregate="sum", where=[{"column": "person", "op": "lt", "value": 60}]
    )
    made = attack(p_percent=0.0)
    assert made.held_by(asked) == {"dominance_nk"}
    assert figure(made.leaves_without("dominance_nk", asked), place="A") == pytest.approx(SALARY, rel=0.1)


@pytest.mark.attack(
    what="the second largest subtracts what he knows of himself", route="a specification", layer="disclosure rules",
    control="without dominance_p it leaves, and he knows the victim's salary to a tenth",
)  # fmt: skip
def test_dominance_p_holds_what_the_second_largest_could_reckon(attack: Callable[..., Attack]) -> None:
    accomplice = 700_000.0
    frame = people().with_columns(salary=pl.when(pl.col("person") == 4).then(accomplice).otherwise("salary"))
    asked = table(
        rows=["place"], value="salary", aggregate="sum", where=[{"column": "person", "op": "lt", "value": 60}]
    )
    made = attack(frame, nk_k=1.0)
    assert made.held_by(asked) == {"dominance_p"}
    reckoned = figure(made.leaves_without("dominance_p", asked), place="A") - accomplice
    assert reckoned == pytest.approx(SALARY, rel=0.1)


@pytest.mark.attack(
    what="the spread of ten of whom nine know each other", route="a specification", layer="disclosure rules",
    control="without dof it leaves, and the nine solve it for the tenth",
)  # fmt: skip
def test_dof_holds_a_spread_that_nine_of_ten_can_solve(attack: Callable[..., Attack]) -> None:
    asked = table(value="age", aggregate="std", where=[{"column": "person", "op": "lt", "value": 10}])
    made = attack()
    assert made.held_by(asked) == {"dof"}
    spread = figure(made.leaves_without("dof", asked))
    ages = people()["age"].to_numpy()
    others = ages[1:10]
    guesses = np.arange(0, 120, 0.5)
    off = [abs(np.std([*others, guess], ddof=1) - spread) for guess in guesses]
    assert ages[VICTIM] in guesses[np.argsort(off)[:2]]


@pytest.mark.attack(
    what="a place where everybody is rich, said by the empty cell beside it", route="a specification",
    layer="disclosure rules", control="without zero_cell it leaves, and who lives there is rich",
)  # fmt: skip
def test_zero_cell_holds_what_an_empty_cell_says_of_the_rest(attack: Callable[..., Attack]) -> None:
    rich = pl.when(pl.col("place") == "A").then(pl.lit("rich")).otherwise(
        pl.when(pl.col("person") % 3 == 0).then(pl.lit("rich")).otherwise(pl.lit("poor")))  # fmt: skip
    made = attack(people().with_columns(group=rich))
    asked = table(rows=["place"], columns=["group"], aggregate="entities")
    assert made.held_by(asked) == {"zero_cell"}
    left = pl.read_csv(io.BytesIO(made.leaves_without("zero_cell", asked)))
    assert left.filter(pl.col("place") == "A")["group"].to_list() == ["rich"]


@pytest.mark.attack(
    what="a mean of people who all have one value", route="a specification", layer="disclosure rules",
    control="without class_disclosure it leaves, and the mean is each one's own value",
)  # fmt: skip
def test_class_disclosure_holds_a_mean_that_is_everybodys_own(attack: Callable[..., Attack]) -> None:
    frame = people().with_columns(salary=pl.when(pl.col("place") == "A").then(5_555.0).otherwise("age"))
    asked = table(rows=["place"], value="salary", aggregate="mean")
    assert attack(frame).held_by(asked) == {"class_disclosure"}
    assert figure(attack(frame).leaves_without("class_disclosure", asked), place="A") == 5_555


@pytest.mark.attack(
    what="a count of three, said as the sum of a yes and no", route="a specification", layer="disclosure rules",
    control="without class_disclosure it leaves, and says 3",
)  # fmt: skip
def test_a_sum_of_yes_and_no_is_held_like_a_count(attack: Callable[..., Attack]) -> None:
    frame = people().with_columns(ill=pl.col("person") < 3)
    asked = table(value="ill", aggregate="sum")
    assert attack(frame).held_by(asked) == {"class_disclosure"}
    assert figure(attack(frame).leaves_without("class_disclosure", asked)) == 3


def hidden_in_the_sum(people_above: int) -> pl.DataFrame:
    """People of whom some earn just above 50,000, and the victim more."""
    above = pl.when(pl.col("person") < people_above).then(50_000.0 + pl.col("person"))
    salary = pl.when(pl.col("person") == VICTIM).then(83_210.0).otherwise(above.otherwise("salary"))
    return people().with_columns(salary=salary)


@pytest.mark.attack(
    what="everybody's salary cut below at what all but one earn, so that the sum is theirs and the victim's",
    route="a specification", layer="disclosure rules",
    control="without class_disclosure and the rules on what is cut the sum less 4,000 for each is the victim's salary",
)  # fmt: skip
def test_values_cut_to_one_floor_do_not_hide_who_is_above_it(attack: Callable[..., Attack]) -> None:
    frame = hidden_in_the_sum(1)
    assert attack(frame).held_by(table(value="salary", aggregate="sum")) == set()
    asked = table(value="salary", aggregate="sum", coding={"bottom": 4_000})
    held = attack(frame).held_by(asked)
    assert held >= {"class_disclosure", "min_count"}
    left = figure(attack(frame).leaves_without(" ".join(held), asked))
    assert left - 4_000 * (frame.height - 1) == 83_210


@pytest.mark.attack(
    what="how many earn 80,000 or more, asked as a mean of values cut at 79,999 and 80,000", route="a specification",
    layer="disclosure rules", control="without class_disclosure and the rules on what is cut the mean says: one does",
)  # fmt: skip
def test_values_cut_to_two_are_a_count(attack: Callable[..., Attack]) -> None:
    asked = table(value="salary", aggregate="mean", coding={"bottom": 79_999, "top": 80_000})
    frame = hidden_in_the_sum(1)
    held = attack(frame).held_by(asked)
    assert held >= {"class_disclosure", "min_count"}
    left = figure(attack(frame).leaves_without(" ".join(held), asked))
    assert (left - 79_999) * frame.height == pytest.approx(1, abs=0.001)


@pytest.mark.attack(
    what="a floor above which there are twelve, one of whom has nearly all that is above it", route="a specification",
    layer="disclosure rules", control="without dominance the sum less 50,000 for each is the victim's to a hundredth",
)  # fmt: skip
def test_what_is_above_a_floor_is_no_one_persons(attack: Callable[..., Attack]) -> None:
    frame = hidden_in_the_sum(12)
    asked = table(value="salary", aggregate="sum", coding={"bottom": 50_000})
    assert attack(frame).held_by(asked) == {"dominance_nk", "dominance_p"}
    left = figure(attack(frame).leaves_without("dominance_nk dominance_p", asked))
    assert left - 50_000 * (frame.height - 1) == pytest.approx(83_210, rel=0.01)


@pytest.mark.attack(
    what="a step that changes three, beside the sum without it", route="two specifications",
    layer="differencing memory", control="without differencing both leave: the difference is what the three have",
)  # fmt: skip
def test_a_step_does_not_change_a_few(attack: Callable[..., Attack]) -> None:
    number = pl.col("person")
    owed = pl.when(number < 3).then(5.0).when(number < 20).then(100.0).otherwise(0.0)
    frame = people().with_columns(owed=owed)
    plain = table(value="owed", aggregate="sum")
    stepped = plain | {"coding": {"step": 100}}
    assert attack(frame).held_by(plain) == set()
    assert attack(frame).held_by(stepped) == {"differencing"}
    both = [figure(attack(frame).leaves_without("differencing", asked)) for asked in (plain, stepped)]
    assert both[0] - both[1] == 15


@pytest.mark.attack(
    what="the largest salary", route="a specification", layer="disclosure rules",
    control="without extreme it leaves, and is the victim's",
)  # fmt: skip
@pytest.mark.parametrize("aggregate", ["max", "p95"])
def test_extreme_holds_the_largest_value(attack: Callable[..., Attack], aggregate: str) -> None:
    where = [] if aggregate == "max" else [{"column": "person", "op": "lt", "value": 10}]
    asked = table(value="salary", aggregate=aggregate, where=where)
    assert attack().held_by(asked) == {"extreme"}
    assert figure(attack().leaves_without("extreme", asked)) == SALARY


@pytest.mark.attack(
    what="an aggregate of the analyst's own that lists the values", route="a specification", layer="disclosure rules",
    control="polars itself gives every salary to the same words",
)  # fmt: skip
@pytest.mark.parametrize("aggregate", ["implode", "first", "lambda values: values.to_list()", "sum; implode"])
def test_unknown_aggregates_are_not_computed(attack: Callable[..., Attack], aggregate: str) -> None:
    assert attack().held_by(table(value="salary", aggregate=aggregate)) == {"specification"}
    listed = people().select(pl.col("salary").implode()).item().to_list()
    assert SALARY in listed


@pytest.mark.attack(
    what="a dummy for one person in a regression", route="a specification", layer="disclosure rules",
    control="without min_count and leverage it leaves: intercept and coefficient add up to the victim's salary",
)  # fmt: skip
def test_leverage_holds_a_dummy_for_one_person(attack: Callable[..., Attack]) -> None:
    asked = {"kind": "regression", "release": "people", "formula": "salary ~ ill"}
    made = attack(nk_k=1.0, p_percent=0.0, min_entities=1)
    assert made.held_by(asked) == {"leverage"}
    left = pl.read_csv(io.BytesIO(made.leaves_without("leverage", asked)))
    assert left["estimate"][0] + left["estimate"][1] == pytest.approx(SALARY, rel=1e-5)


@pytest.mark.attack(
    what="a regression on a number in which one person lies far from all others", route="a specification",
    layer="disclosure rules", control="without leverage it leaves: its value for that number is the victim's salary",
)  # fmt: skip
def test_leverage_holds_a_line_through_one_person(attack: Callable[..., Attack]) -> None:
    asked = {"kind": "regression", "release": "people", "formula": "salary ~ wealth"}
    frame = people().with_columns(wealth=pl.when(pl.col("person") == VICTIM).then(50_000.0).otherwise("wealth"))
    made = attack(frame, nk_k=1.0, p_percent=0.0)
    assert made.held_by(asked) == {"leverage"}
    left = pl.read_csv(io.BytesIO(made.leaves_without("leverage", asked)))
    assert left["estimate"][0] + 50_000 * left["estimate"][1] == pytest.approx(SALARY, rel=0.01)


@pytest.mark.attack(
    what="a saturated model of a place with one person in it", route="a specification", layer="disclosure rules",
    control="without min_count and leverage its coefficients are that person's salary",
)  # fmt: skip
def test_saturated_models_are_tables(attack: Callable[..., Attack]) -> None:
    frame = people().with_columns(place=pl.when(pl.col("person") == VICTIM).then(pl.lit("Z")).otherwise("place"))
    asked = {"kind": "regression", "release": "people", "formula": "salary ~ C(place)"}
    made = attack(frame)
    held = made.held_by(asked)
    assert held >= {"min_count", "leverage", "dominance_nk", "class_disclosure"}
    left = pl.read_csv(io.BytesIO(made.leaves_without(" ".join(held), asked)))
    assert left["estimate"][0] + left["estimate"][4] == pytest.approx(SALARY, rel=1e-5)


@pytest.mark.attack(
    what="a picture that the notebook drew of one person's value", route="a file", layer="disclosure rules",
    control="without plot it goes to people, and says the salary",
)  # fmt: skip
def test_plot_holds_a_picture_without_its_table(attack: Callable[..., Attack]) -> None:
    drawn = f"<svg xmlns='http://www.w3.org/2000/svg'><text>{SALARY:.0f}</text></svg>".encode()
    assert attack().held_by({}, drawn) == {"plot"}
    assert b"987654" in attack().leaves_without("plot", {}, drawn)


@pytest.mark.attack(
    what="a histogram whose last bin is one person's", route="a specification", layer="disclosure rules",
    control="without min_count it leaves, and the bin says 1",
)  # fmt: skip
def test_bins_of_one_person_are_held(attack: Callable[..., Attack]) -> None:
    counted = table(value="salary", aggregate="entities")
    asked = {"kind": "figure", "draw": "histogram", "edges": [0, 3_500, 10_000, 2_000_000], "table": counted}
    assert attack().held_by(asked) >= {"min_count"}
    left = attack().leaves_without("min_count zero_cell", asked).decode()
    assert "3: ≥ 10000: 1<" in left


@pytest.mark.attack(
    what="a cell left out of a table, reckoned back from the total of its column", route="two specifications",
    layer="disclosure rules", control="with that cell alone left out the total less the others is its figure",
)  # fmt: skip
def test_what_is_left_out_is_not_reckoned_back(attack: Callable[..., Attack], monkeypatch: pytest.MonkeyPatch) -> None:
    frame = people().filter((pl.col("place") != "D") | (pl.col("person") < 28))  # seven live in D
    asked = table(rows=["place"], aggregate="entities", repair="suppress")
    total = frame.height
    assert attack(frame).held_by(asked) == set()
    shown = pl.read_csv(io.BytesIO(attack(frame).leaves_without("", asked)))
    assert total - shown["entities"].sum() == 107  # two cells together: nobody knows which is how large

    def alone(grid: Any) -> Any:
        return suppression.Suppression(grid.primary, grid.primary, 0.0)

    monkeypatch.setattr("sandbox.airlock.repairs.checked.suppress", alone)
    shown = pl.read_csv(io.BytesIO(attack(frame).leaves_without("", asked)))
    assert total - shown["entities"].sum() == 7


OF_THE_STANDARD = "11010519491231002X"
"""The example of the standard (GB 11643): nobody's number."""


@pytest.mark.attack(
    what="a person's number as the label of a group that is large enough", route="a specification",
    layer="disclosure rules", control="without label_pii the number leaves",
)  # fmt: skip
def test_a_number_of_a_person_leaves_as_no_label(attack: Callable[..., Attack]) -> None:
    frame = people().with_columns(pl.col("place").replace({"A": OF_THE_STANDARD}))
    asked = table(rows=["place"], aggregate="entities")
    assert attack(frame).held_by(asked) == {"label_pii"}
    assert OF_THE_STANDARD.encode() in attack(frame).leaves_without("label_pii", asked)
