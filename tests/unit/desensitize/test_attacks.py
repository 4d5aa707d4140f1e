"""Attacks: near nothing on tables that tell of nobody, high on copies, and the same numbers for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from desensitize import Hierarchy, InvalidInput, InvalidPlan, anonymize, measure_attacks
from desensitize.risk.attacks import wilson
from desensitize.risk.comparison import compare
from desensitize.risk.singling import count_matches, expect_alone, list_predicates

ADULT = Path(__file__).parents[4] / "shared" / "data" / "adult"
KNOWN = ["age", "town", "job", "wage"]


def people(rows: int, seed: int) -> pl.DataFrame:
    """Return invented people whose columns hang together: the job by the town, the wage by the job, the ill by both."""
    rng = np.random.default_rng(seed)
    town, age = rng.integers(0, 12, rows), rng.integers(18, 90, rows)
    job = (town * 3 + rng.integers(0, 6, rows)) % 20
    wage = 3_000 + 400 * job + rng.integers(0, 300, rows)
    ill = np.where(rng.random(rows) < 0.6, (job + age // 30) % 7, rng.integers(0, 7, rows))
    named = {"age": age, "town": [f"t{x}" for x in town], "job": [f"j{x}" for x in job], "wage": wage}
    return pl.DataFrame({**named, "ill": [f"i{x}" for x in ill]})


@pytest.fixture(scope="module")
def everyone() -> tuple[pl.DataFrame, pl.DataFrame]:
    frame = people(3_000, 1)
    return frame[:2_000], frame[2_000:]


def independent(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({name: frame[name].shuffle(seed=i) for i, name in enumerate(frame.columns)})


def attack(original: pl.DataFrame, released: pl.DataFrame, control: pl.DataFrame | None, **options):  # type: ignore[no-untyped-def]
    return measure_attacks(original, released, control, KNOWN, ["ill"], 200, **options)


def test_independent_marginals_tell_of_nobody(everyone) -> None:  # type: ignore[no-untyped-def]
    original, control = everyone
    found = attack(original, independent(original), control)
    assert found.find("singling_out_many").risk < 0.08
    assert found.find("linkability").risk < 0.03
    assert found.find("inference").low == 0.0


def test_copies_are_found_the_more_the_more_is_copied(everyone) -> None:  # type: ignore[no-untyped-def]
    original, control = everyone
    half = pl.concat([original[:1_000], independent(original)[1_000:]])
    kinds = ("singling_out_many", "linkability", "inference")
    none, some, whole = (
        [attack(original, released, control).find(kind).risk for kind in kinds]
        for released in (independent(original), half, original)
    )
    assert all(a < b < c for a, b, c in zip(none, some, whole, strict=True))
    assert whole[0] > 0.9
    assert whole[2] > 0.8


def test_anonymized_table_singles_out_nobody(everyone) -> None:  # type: ignore[no-untyped-def]
    original, control = everyone
    hierarchies = {
        "age": Hierarchy.numbers((10, 30)), "town": Hierarchy.flat(), "job": Hierarchy.flat(),
        "wage": Hierarchy.numbers((1_000, 5_000)),
    }  # fmt: skip
    made = anonymize(original, hierarchies, k=5)
    found = attack(original, made.frame, control, hierarchies=hierarchies, levels=made.levels)
    many, linked = found.find("singling_out_many"), found.find("linkability")
    assert many.risk < 0.05
    assert many.main.attacks <= 200
    assert linked.low < 0.05
    assert found.find("inference").risk < attack(original, original, control).find("inference").risk / 2


def test_known_recoding_is_used_by_the_attacker(everyone) -> None:  # type: ignore[no-untyped-def]
    """Without the hierarchy the labels of the release fit nobody, and the attack looks harmless; with it, it works."""
    original, control = everyone
    hierarchy = Hierarchy.numbers((10,))
    rows = {row[0]: row[1] for row in hierarchy.list_rows(map(str, range(18, 90)), "age")}
    released = original.with_columns(pl.col("age").cast(pl.String).replace_strict(rows))
    blind = attack(original, released, control).find("singling_out_many")
    seeing = attack(original, released, control, hierarchies={"age": hierarchy}, levels={"age": 1})
    assert seeing.find("singling_out_many").risk > blind.risk + 0.2


def test_same_seed_gives_the_same_attacks(everyone) -> None:  # type: ignore[no-untyped-def]
    original, control = everyone
    assert attack(original, original, control, seed=4) == attack(original, original, control, seed=4)
    assert attack(original, original, control, seed=4) != attack(original, original, control, seed=5)


def test_without_control_the_risk_is_the_main_rate(everyone) -> None:  # type: ignore[no-untyped-def]
    found = attack(everyone[0], everyone[0], None)
    assert all(each.control is None and each.risk == each.main.value for each in found.attacks)


def test_predicates_hold_for_one_row_of_the_release(everyone) -> None:  # type: ignore[no-untyped-def]
    original = everyone[0]
    tables = compare(original, original, None, KNOWN)
    rng = np.random.default_rng(0)
    for each in (1, 3):
        found = list_predicates(tables.released, tables.spans, KNOWN, each, 50, rng)
        assert found
        assert len(set(found)) == len(found)
        for predicate, count in zip(found, count_matches(tables.original, found), strict=True):
            rows = original
            for column, sign, value in predicate:
                if column in tables.spans:
                    test = {"==": pl.col(column) == value, "<=": pl.col(column) <= value, ">=": pl.col(column) >= value}
                    rows = rows.filter(test[sign])
                else:
                    codes = pl.Series(tables.original.values[column])
                    text = original[column].filter(codes == value)[0]
                    rows = rows.filter(pl.col(column) == text)
            assert rows.height == count == 1


def test_alone_means_one_entity() -> None:
    twice = pl.DataFrame({"town": ["a", "a", "b", "b"], "who": ["p", "p", "q", "r"]})
    released = pl.DataFrame({"town": ["a", "b"]})
    by_row = measure_attacks(twice, released, None, ["town"], attacks=10)
    by_person = measure_attacks(twice, released, None, ["town"], attacks=10, entity="who")
    assert by_row.find("singling_out_one").main.successes == 0
    assert by_person.find("singling_out_one").main.successes == 1


def test_control_of_another_size_is_read_on() -> None:
    rng = np.random.default_rng(2)
    share = rng.beta(0.3, 200, 4_000)
    counts = rng.binomial(1_000, share).tolist()
    exact = expect_alone(counts, 1_000, 1_000)
    assert exact == pytest.approx(sum(count == 1 for count in counts) / len(counts))
    fewer = [int((rng.binomial(1_000, each, 50) == 1).sum()) / 50 for each in share]
    assert exact == pytest.approx(np.mean(fewer), abs=0.02)
    more = np.mean([int((rng.binomial(2_000, each, 50) == 1).sum()) / 50 for each in share])
    assert expect_alone(counts, 1_000, 2_000) == pytest.approx(more, abs=0.05)


def test_wilson_interval_is_that_of_the_paper() -> None:
    rate = wilson(10, 100)
    assert (rate.low, rate.high) == (pytest.approx(0.05522914), pytest.approx(0.17436566))
    assert wilson(0, 0).high == 1.0


def test_unknown_columns_and_no_attacks_are_refused(everyone) -> None:  # type: ignore[no-untyped-def]
    original, control = everyone
    with pytest.raises(InvalidInput, match="`shoe`"):
        measure_attacks(original, original, control, ["shoe"])
    with pytest.raises(InvalidPlan, match="at least 1"):
        measure_attacks(original, original, control, attacks=0)
    with pytest.raises(InvalidInput, match="at least one row"):
        measure_attacks(original, original[:0], control)


def test_nulls_and_codes_are_compared_as_text() -> None:
    frame = pl.DataFrame({"code": ["110101", None, "310101"] * 30, "age": [float(x) for x in range(89)] + [None]})
    tables = compare(frame, frame, frame[:1], ["code", "age"])
    assert list(tables.spans) == ["age"]
    assert tables.original.values["code"].tolist()[:3] == [1, 0, 2]
    many = measure_attacks(frame, frame, None, ["code", "age"], attacks=20).find("singling_out_many").main
    assert many.successes == many.attacks > 0


@pytest.mark.slow
def test_census_gives_the_order_of_the_reference() -> None:
    """Independent marginals, a copy of half and a whole copy of 20,000 rows, in the order that was measured."""
    if not ADULT.is_dir():
        pytest.skip("the census extract is not beside the repository (shared/data/adult)")
    frame = pl.read_csv(ADULT / "adult.csv", separator=";", infer_schema=False).sample(
        fraction=1.0, shuffle=True, seed=1
    )
    original, control = frame[:20_000], frame[20_000:]
    half = pl.concat([original[:10_000], independent(original)[10_000:]])
    known, secret = [name for name in frame.columns if name != "occupation"], "occupation"
    found = [
        measure_attacks(original, released, control, known, [secret], 500)
        for released in (independent(original), half, original)
    ]
    singled, linked, inferred = (
        [each.find(kind).risk for each in found] for kind in ("singling_out_many", "linkability", "inference")
    )
    assert singled[0] < 0.08 < 0.2 < singled[1] < 0.7 < 0.95 < singled[2]
    assert linked[0] < 0.02
    assert linked[0] <= linked[1] < linked[2]
    assert inferred[0] < 0.06 < 0.15 < inferred[1] < 0.35 < inferred[2]
