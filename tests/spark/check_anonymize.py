"""An anonymization made on Spark is the one made on one machine: levels, cost, classes, risk, frame, hash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import SparkSession
from spark_kit import KEY, PLAN, fetch, load, make_people

import desensitize
from desensitize import Hierarchy, InvalidInput, InvalidPlan, Plan, spark
from desensitize.fingerprint import hash_content
from desensitize.transform.goals import KMap

ROWS = 50_000
COLUMNS = ["row", "who", "area", "born", "age", "grade", "active"]
KEEP = Plan.from_dict({"columns": dict.fromkeys(COLUMNS, "keep")})
HIERARCHIES = {
    "area": Hierarchy.regions(),
    "born": Hierarchy.dates(["year", "decade"]),
    "age": Hierarchy.numbers((5, 10, 20)),
    "active": Hierarchy.flat(),
}


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    return make_people(ROWS, seed=5).select(COLUMNS)


@pytest.fixture(scope="module")
def table(session: SparkSession, people: pl.DataFrame, room: Path) -> Any:
    return load(session, people, room / "counted").cache()


@pytest.mark.parametrize(
    "options",
    [
        {"k": 5, "suppression_limit": 0.05},
        {"k": 4, "suppression_limit": 0.05, "entity": "who"},
        {"k": 3, "entity": "who", "l_diversity": {"column": "grade", "l": 3}, "metric": "discernibility"},
    ],
    ids=["rows", "entities", "diversity"],
)
def test_anonymization_is_the_one_of_one_machine(table: Any, people: pl.DataFrame, options: dict[str, Any]) -> None:
    made = spark.anonymize(table, HIERARCHIES, **options)
    alone = desensitize.anonymize(people, HIERARCHIES, **options)
    assert (made.levels, made.suppressed, made.optimal) == (alone.levels, alone.suppressed, True)
    assert made.loss == pytest.approx(alone.loss, rel=1e-12)
    assert made.risk == alone.risk
    assert_frame_equal(made.classes, alone.classes, check_row_order=False, check_dtypes=False)
    assert isinstance(alone.frame, pl.DataFrame)
    assert_frame_equal(fetch(made.frame), alone.frame.sort("row"))
    assert spark.apply(made.frame, KEEP).content_hash() == hash_content(alone.frame.lazy())


def test_entities_and_rows_are_not_the_same_here(people: pl.DataFrame) -> None:
    assert people["who"].n_unique() < ROWS * 0.8


def test_protected_release_has_the_certificate_of_one_machine(
    session: SparkSession, room: Path, key_file: Path
) -> None:
    people = make_people(2000, seed=9)
    goal = {
        "k": 4,
        "entity": "who",
        "suppression_limit": 0.1,
        "quasi_identifiers": {"age": {"kind": "flat"}, "grade": {"kind": "flat"}, "active": {"kind": "flat"}},
    }
    plan = Plan.from_dict({**PLAN.to_dict(), "anonymity": goal})
    made = spark.apply(load(session, people, room / "protected"), plan, spark.KeyFile(str(key_file)))
    alone = desensitize.apply(people, plan, KEY)
    assert_frame_equal(fetch(made.frame), alone.frame.collect().sort("row"))
    certificate, expected = made.certificate, dict(alone.certificate)
    assert certificate["done"]["anonymized"].pop("loss") == pytest.approx(expected["done"]["anonymized"].pop("loss"))
    assert certificate == {**expected, "measured_before": None, "utility": None}
    assert made.risk == alone.risk


@pytest.mark.parametrize("where", ["spark", "here"])
def test_population_may_be_on_spark_or_here(
    session: SparkSession, table: Any, people: pl.DataFrame, room: Path, where: str
) -> None:
    everyone, few = people.select("who", "area", "age"), people.head(800)
    hierarchies = {"area": Hierarchy.regions(), "age": Hierarchy.numbers((5, 10, 20))}
    population: Any = table.select("who", "area", "age") if where == "spark" else everyone
    sample = load(session, few, room / f"sample-{where}")
    made = spark.anonymize(sample, hierarchies, 1, models=[KMap(population, 60)], entity="who")
    alone = desensitize.anonymize(few, hierarchies, 1, models=[KMap(everyone, 60)], entity="who")
    assert (made.levels, made.suppressed) == (alone.levels, alone.suppressed)
    assert alone.levels != {"area": 0, "age": 0}


def test_refuses_what_one_machine_refuses(table: Any) -> None:
    with pytest.raises(InvalidInput, match="`nobody` is not in the table"):
        spark.anonymize(table, HIERARCHIES, entity="nobody")
    with pytest.raises(InvalidInput, match="`active` holds nulls"):
        spark.anonymize(table, {"area": Hierarchy.regions()}, entity="active")
    with pytest.raises(InvalidInput, match="not in its table hierarchy"):
        spark.anonymize(table, {"grade": Hierarchy.from_rows([("A", "*")])})
    with pytest.raises(InvalidPlan, match="metric `beauty`"):
        spark.anonymize(table, HIERARCHIES, metric="beauty")
    with pytest.raises(InvalidPlan, match="suppression limit"):
        spark.anonymize(table, {"area": Hierarchy.regions()}, suppression_limit=2)


def test_local_recoding_and_noise_are_refused_with_anonymity(table: Any) -> None:
    goal = {"quasi_identifiers": {"area": {"kind": "region"}}}
    local = Plan.from_dict({**KEEP.to_dict(), "anonymity": {**goal, "local": True}})
    with pytest.raises(InvalidPlan, match="local"):
        spark.apply(table, local)
    columns = {**KEEP.to_dict()["columns"], "age": {"technique": "noise", "scale": 2}}
    with pytest.raises(InvalidPlan, match="noise"):
        spark.apply(table, Plan.from_dict({"columns": columns, "anonymity": goal}))
