"""The fingerprint: what a copy still says after it was cut, shuffled, renamed and rounded, and whom it never names."""

from __future__ import annotations

import io
import math

import numpy as np
import polars as pl
import pytest

from products.forms.marks import codes
from products.forms.marks.tables import mark, read_table
from products.forms.marks.tracing import trace
from products.forms.terms import Mark
from shuzha.core.errors import Invalid

KEY = b"k" * 32
BUYERS = [f"org_{number}" for number in range(40)]
MARKS = {"spend": Mark(step=0.01), "visits": Mark(step=1, least=0)}


def original(rows=3000, seed=1):
    random = np.random.default_rng(seed)
    return pl.DataFrame({
        "district": random.choice(["370102", "370103", "370104", "370105"], rows),
        "trade": random.choice([f"t{n}" for n in range(40)], rows),
        "block": np.arange(rows) % 997,
        "visits": random.integers(0, 5000, rows),
        "spend": random.gamma(2.0, 300.0, rows).round(2),
    })  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("original") / "table.csv"
    original().write_csv(path)
    return path


def copy_of(table, buyer="org_7"):
    return pl.read_csv(io.BytesIO(mark(table.read_bytes(), MARKS, KEY, buyer)), infer_schema=False)


def traced(frame, table, buyers=BUYERS, **write):
    out = io.BytesIO()
    frame.write_csv(out, **write)
    return trace(out.getvalue(), table, MARKS, KEY, buyers)


def halved(frame):
    return frame.sample(fraction=0.5, shuffle=True, seed=3)


def test_a_marked_copy_differs_by_a_step_at_most_and_in_nothing_else(table):
    before, after = original(), pl.read_csv(io.BytesIO(mark(table.read_bytes(), MARKS, KEY, "org_7")))
    assert after.select("district", "trade", "block").equals(
        pl.read_csv(table, schema_overrides={}).select("district", "trade", "block")
    )
    assert ((after["spend"] - before["spend"]).abs() < 0.0101).all()
    assert ((after["visits"] - before["visits"]).abs() <= 1).all()
    assert after["visits"].min() >= 0
    assert mark(table.read_bytes(), MARKS, KEY, "org_7") == mark(table.read_bytes(), MARKS, KEY, "org_7")
    assert mark(table.read_bytes(), MARKS, KEY, "org_7") != mark(table.read_bytes(), MARKS, KEY, "org_8")


ATTACKS = {
    "as it is": lambda frame: frame,
    "half of the rows, shuffled": halved,
    "columns in another order": lambda frame: halved(frame).select(reversed(frame.columns)),
    "a marked column removed": lambda frame: halved(frame).drop("visits"),
    "the telling columns removed": lambda frame: halved(frame).select("spend", "visits"),
    "columns renamed": lambda frame: halved(frame).rename(
        {"trade": "x", "district": "y", "spend": "money", "visits": "v"}
    ),
    "a third of the values rounded": lambda frame: frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(
            ((pl.col("spend").cast(pl.Float64) / 10).round() * 10).cast(pl.String)
        ).otherwise(pl.col("spend")).alias("spend"),
    ),
    "rows repeated": lambda frame: pl.concat([halved(frame)] * 3),
    "a tenth of the rows": lambda frame: frame.sample(fraction=0.1, seed=5),
    "rows added": lambda frame: pl.concat([halved(frame), halved(frame).with_columns(block=pl.lit("5000"))]),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_copy_names_its_buyer_and_nobody_else_after(table, attack):
    found = traced(ATTACKS[attack](copy_of(table)), table)
    assert [one.buyer for one in found.named] == ["org_7"]
    assert found.named[0].log10_chance < -6
    assert all(one.score < found.named[0].score / 3 for one in found.suspects[1:])


def test_a_copy_in_parquet_or_with_semicolons_names_its_buyer(table):
    out = io.BytesIO()
    copy_of(table).with_columns(pl.col("spend").cast(pl.Float64), pl.col("visits").cast(pl.Int64)).write_parquet(out)
    assert [one.buyer for one in trace(out.getvalue(), table, MARKS, KEY, BUYERS).named] == ["org_7"]
    assert [one.buyer for one in traced(copy_of(table), table, separator=";").named] == ["org_7"]


def test_a_parquet_product_keeps_its_types(tmp_path):
    path = tmp_path / "table.parquet"
    original().write_parquet(path)
    marked = mark(path.read_bytes(), MARKS, KEY, "org_3")
    kind, frame = read_table(marked)
    assert kind == "parquet"
    assert frame.schema == original().schema
    assert [one.buyer for one in trace(marked, path, MARKS, KEY, BUYERS).named] == ["org_3"]


def test_two_buyers_who_mix_or_average_are_both_named(table):
    one, two = copy_of(table, "org_7"), copy_of(table, "org_9")
    odd = pl.int_range(pl.len()) % 2 == 0
    mixed = pl.concat([one.filter(odd), two.filter(~odd)])
    assert {each.buyer for each in traced(mixed, table).named} == {"org_7", "org_9"}
    numbers = [frame.with_columns(pl.col("spend", "visits").cast(pl.Float64)) for frame in (one, two)]
    mean = numbers[0].with_columns(
        ((numbers[0][name] + numbers[1][name]) / 2).round(2).alias(name) for name in ("spend", "visits")
    )
    assert {each.buyer for each in traced(mean, table).named} == {"org_7", "org_9"}


def test_three_buyers_who_take_the_rarer_value_name_one_of_them_and_nobody_else(table):
    copies = [copy_of(table, buyer)["spend"].cast(pl.Float64).to_numpy() for buyer in ("org_1", "org_2", "org_3")]
    stacked = np.stack(copies)
    middle = np.median(stacked, axis=0)
    rarer = np.where(
        (stacked == stacked[0]).all(axis=0), stacked[0], stacked.min(axis=0) + stacked.max(axis=0) - middle
    )
    named = traced(copy_of(table).with_columns(pl.Series("spend", rarer.round(2))).drop("visits"), table).named
    assert named
    assert {each.buyer for each in named} <= {"org_1", "org_2", "org_3"}


def test_the_original_and_a_copy_of_an_unknown_buyer_name_nobody(table):
    assert traced(pl.read_csv(table, infer_schema=False), table).named == ()
    assert traced(copy_of(table, "org_unknown"), table).named == ()
    noise = copy_of(table).with_columns(
        pl.Series(
            "spend", (original()["spend"].to_numpy() + np.random.default_rng(8).choice([-0.01, 0.01], 3000)).round(2)
        )
    )
    assert traced(noise.drop("visits"), table).named == ()


def test_innocent_buyers_reach_a_score_no_more_often_than_the_bound_says():
    rows, trials = 400, 4000
    bias = codes.biases(KEY, "c", rows)
    copy = codes.signs(KEY, "leaker", "c", rows)
    totals = np.array([codes.scores(copy, codes.signs(KEY, f"b{n}", "c", rows), bias).sum() for n in range(trials)])
    assert abs(totals.mean()) < 4 * math.sqrt(rows / trials)
    assert 0.85 < totals.std() / math.sqrt(rows) < 1.15
    for score in (20.0, 40.0, 60.0):
        bound = math.exp(codes.log_chance(score, rows))
        assert (totals >= score).mean() <= bound + 3 * math.sqrt(bound / trials)
    assert codes.scores(copy, copy, bias).sum() > 5 * math.sqrt(rows)


def test_how_many_cells_a_copy_needs_is_what_it_takes():
    needed = codes.cells_needed(len(BUYERS))
    hits = 0
    for trial in range(100):
        rows = 2 * needed
        own, bias = codes.signs(KEY, f"b{trial}", f"c{trial}", rows), codes.biases(KEY, f"c{trial}", rows)
        score = float(codes.scores(own, own, bias).sum())
        hits += codes.log_chance_of_any(score, rows, len(BUYERS)) <= math.log(codes.ACCUSED)
    assert 100 < needed < 400
    assert hits == 100


def test_a_file_that_is_no_table_is_refused_and_nothing_of_it_repeated(table):
    with pytest.raises(Invalid) as refusal:
        trace(b"\x00\xff" * 500, table, MARKS, KEY, BUYERS)
    assert "CSV or Parquet" in str(refusal.value.accepted)


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ({"nothing": Mark(step=1)}, "no column `nothing`"), ({"trade": Mark(step=1)}, "no number"),
        ({"spend": Mark(step=1 / 3)}, "no decimal number"),
    ],
)  # fmt: skip
def test_a_column_that_cannot_be_marked_is_refused(table, marks, said):
    with pytest.raises(Invalid, match=said):
        mark(table.read_bytes(), marks, KEY, "org_1")
