"""Attacks on a release: what an insider, a provider of a crafted table or a neighbour on the machine may try."""

from __future__ import annotations

import itertools
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import desensitize
from desensitize import dp, shuffling
from desensitize.certificate import verify
from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.fingerprint import hash_content
from desensitize.hierarchy import Hierarchy
from desensitize.tables import hide
from desensitize.transform.plan import Plan
from desensitize.writing import discard_unfinished

KEY = bytes(range(32))


@pytest.mark.parametrize("name", ["^ab.*$", "*", hide("abc")])
def test_refuses_a_column_whose_name_reaches_another_column(name: str) -> None:
    # Kept under a pattern for a name, polars would release the dropped column.
    table = pl.DataFrame({name: ["plain"], "abc": ["secret"]})
    plan = Plan.from_dict({"columns": {name: "keep", "abc": "drop"}})
    with pytest.raises(InvalidInput, match="rename it first"):
        desensitize.apply(table, plan)


@pytest.mark.parametrize(
    "numbers", [[1e19, 2e19, 3e19, 4e19, 5e19, None], [float("nan"), float("inf"), 1e300, 0, 1, 2]]
)
def test_no_class_holds_numbers_that_can_be_told_apart(numbers: list[float | None]) -> None:
    table = pl.DataFrame({"q": pl.Series(numbers, dtype=pl.Float64)})
    made = desensitize.anonymize(table, {"q": Hierarchy.flat()}, k=6, suppression_limit=0)
    assert made.levels == {"q": 1}
    assert made.frame.collect_schema()["q"] == pl.String


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64])
def test_minus_zero_is_not_told_from_zero(dtype: pl.DataType) -> None:
    table = pl.DataFrame({"q": pl.Series([0.0] * 5 + [-0.0], dtype=dtype)})
    made = desensitize.anonymize(table, {"q": Hierarchy.flat()}, k=6, suppression_limit=0)
    assert made.levels == {"q": 0}
    assert made.frame.lazy().collect()["q"].dtype == dtype
    assert not np.signbit(made.frame.lazy().collect()["q"].to_numpy()).any()


def _people(count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [f"P{number:05}" for number in range(count)], "age": [number % 7 for number in range(count)]}
    )


def _agree(one: pl.Series, other: pl.Series) -> float:
    """Return in which share of the places two releases hold rows of one person."""
    return float((one == other).mean() or 0.0)


def test_releases_under_two_keys_cannot_be_joined_by_the_order_of_rows(tmp_path: Path) -> None:
    plan = Plan.from_dict({"columns": {"id": "pseudonymize", "age": "keep"}})
    people = _people(2000)
    owners = {}
    for key in (KEY, KEY[::-1]):
        # The attacker's answer key: whose pseudonym each one is.
        owner = dict(zip(desensitize.apply(people, plan, key).frame.collect()["id"], people["id"], strict=True))
        out = desensitize.apply(people, plan, key).write(tmp_path / key.hex(), shuffle=True)
        owners[key] = pl.read_parquet(out / "data.parquet")["id"].replace_strict(owner)
        assert sorted(owners[key]) == sorted(people["id"])
        assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    assert _agree(owners[KEY], owners[KEY[::-1]]) < 0.02
    assert _agree(owners[KEY], people["id"]) < 0.02


def test_an_anonymized_release_does_not_keep_the_order_of_rows(tmp_path: Path) -> None:
    people = _people(2000)
    plan = Plan.from_dict(
        {
            "columns": {"id": "keep", "age": "keep"},
            "anonymity": {"k": 5, "mode": "enclave", "quasi_identifiers": {"age": {"kind": "flat"}}},
        }
    )
    out = desensitize.apply(people, plan).write(tmp_path / "out")
    assert _agree(pl.read_parquet(out / "data.parquet")["id"], people["id"]) < 0.02


def test_shuffling_by_piles_moves_rows_anywhere_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "_PILE_ROWS", 100)
    people = _people(2000)
    plan = Plan.from_dict({"columns": {"id": "keep", "age": "keep"}})
    made = desensitize.apply(people, plan)
    out = made.write(tmp_path / "out", shuffle=True)
    place = pl.read_parquet(out / "data.parquet")["id"].str.slice(1).cast(pl.Int64).to_numpy()
    assert sorted(place) == list(range(2000))
    # Of the first tenth about a tenth came from the first tenth.
    assert np.count_nonzero(place[:200] < 200) < 60
    assert abs(np.corrcoef(place, np.arange(2000))[0, 1]) < 0.15
    people.write_parquet(tmp_path / "t.parquet")
    from_file = desensitize.apply(tmp_path / "t.parquet", plan)
    with pytest.raises(InvalidInput, match="not written in parts"):
        from_file.write(tmp_path / "other", part_rows=10, shuffle=True)


def test_refuses_a_partial_folder_that_somebody_planted(tmp_path: Path) -> None:
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "letter").write_text("dear", "utf-8")
    plan = Plan.from_dict({"columns": {"id": "keep", "age": "keep"}})
    release = desensitize.apply(_people(10), plan)
    planted = tmp_path / ".out.partial"
    planted.symlink_to(precious)
    with pytest.raises(InvalidInput, match="you alone can write to"):
        release.write(tmp_path / "out")
    with pytest.raises(InvalidInput, match="you alone can write to"):
        discard_unfinished(tmp_path / "out")
    assert (precious / "letter").read_text("utf-8") == "dear"
    planted.unlink()
    planted.mkdir()
    planted.chmod(0o777)
    with pytest.raises(InvalidInput, match="you alone can write to"):
        release.write(tmp_path / "out")


def test_nobody_else_can_read_a_release_while_it_is_written_or_afterwards(tmp_path: Path) -> None:
    plan = Plan.from_dict({"columns": {"id": "keep", "age": "keep"}})
    seen: list[int] = []

    def look(*_: int) -> None:
        seen.append((tmp_path / ".out.partial").stat().st_mode & 0o777)

    before = os.umask(0)
    try:
        out = desensitize.apply(_people(10), plan).write(tmp_path / "out", progress=look)
    finally:
        os.umask(before)
    assert seen
    assert set(seen) == {0o700}
    assert out.stat().st_mode & 0o777 == 0o700


WRITTEN = [
    "11010119900307123x",
    "11010119900307123X ",
    "１１０１０１１９９００３０７１２３Ｘ",
    "\u300011010119900307123X",
    "11010119900307123X",
]


def test_one_person_written_in_several_ways_is_no_class_of_several() -> None:
    table = pl.DataFrame({"q": ["a"] * 5 + ["b"] * 5, "who": [*WRITTEN, *"vwxyz"]})
    made = desensitize.anonymize(table, {"q": Hierarchy.flat()}, k=5, suppression_limit=0.5, entity="who")
    assert made.frame.lazy().collect()["q"].unique().to_list() != ["a", "b"]
    assert made.classes["class_entities"].min() >= 5
    risk = desensitize.measure_risk(table, ["q"], entity="who")
    assert risk.smallest_class == 1


@pytest.mark.parametrize("technique", ["keep", "pseudonymize", {"technique": "pseudonymize", "normalize": True}])
def test_a_certificate_about_people_written_in_several_ways_still_holds(technique: object, tmp_path: Path) -> None:
    table = pl.DataFrame({"q": ["a"] * 40, "who": [*(f"p{number}" for number in range(35)), *WRITTEN]})
    plan = Plan.from_dict(
        {
            "columns": {"q": "keep", "who": technique},
            "anonymity": {"k": 5, "entity": "who", "quasi_identifiers": {"q": {"kind": "flat"}}},
        }
    )
    release = desensitize.apply(table, plan, KEY)
    out = release.write(tmp_path / "out")
    assert release.risk is not None
    assert release.risk.smallest_class == 36
    assert all(check.holds for check in verify(out / "data.parquet", release.certificate))


def test_one_person_written_in_several_ways_is_one_privacy_unit() -> None:
    table = pl.DataFrame({"who": WRITTEN, "amount": [100] * 5})
    noise = dp.Noise(epsilon=50)
    counted = dp.answer(table, dp.Count(unit=dp.Unit("who"), noise=noise), dp.Accountant(dp.Cap(1000)))
    bounds = dp.Bounds(0, 100)
    summed = dp.answer(
        table, dp.Sum(unit=dp.Unit("who"), noise=noise, value="amount", bounds=bounds), dp.Accountant(dp.Cap(1000))
    )
    assert counted.estimate < 3
    assert summed.estimate < 200


def test_what_was_dropped_cannot_be_tried_out_against_the_hash_of_the_input() -> None:
    ill = [number % 3 == 0 for number in range(30)]
    people = _people(30).with_columns(ill=pl.Series(ill))
    plan = Plan.from_dict({"columns": {"id": "keep", "age": "keep", "ill": "drop"}})
    for key in (KEY, None):
        release = desensitize.apply(people, plan, key)
        said = release.certificate["input"]
        # The attacker knows everybody's illness but that of four people, and tries.
        known = release.frame.collect()
        tried = {
            hash_content(known.with_columns(ill=pl.Series([*ill[:26], *guess])).lazy())[0]
            for guess in itertools.product([False, True], repeat=4)
        }
        assert hash_content(people.lazy())[0] in tried
        assert not tried & {str(value) for value in said.values()}
    keyed = [desensitize.apply(people, plan, key).certificate["input"] for key in (KEY, KEY, KEY[::-1])]
    hashes = [one["content_hmac_sha256"] for one in keyed]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    "options",
    [
        'technique = "mask"\nkeep_first = 1000000000000000000000000000000',
        'technique = "encrypt"\nkeep_last = 9223372036854775808',
        'technique = "clip"\ntop = nan',
        'technique = "clip"\nbottom = -inf',
        'technique = "round"\nto = 1' + "0" * 400,
        'technique = "generalize"\nkind = "age"\nedges = [0, inf]',
        'technique = "generalize"\nkind = "number"\nedges = [[1]]',
        'technique = "generalize"\nkind = "table"\nrows = [["a", ["b"]]]',
        'technique = "generalize"\nkind = "table"\nfile = "../../etc/passwd.csv"',
        'technique = "generalize"\nkind = "table"\nfile = "/etc/passwd"',
    ],
)
def test_a_plan_with_monstrous_options_is_refused_by_name(options: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(f"[columns.age]\n{options}\n", "utf-8")
    with pytest.raises(InvalidPlan, match="column `age`: "):
        Plan.from_toml(path)


def test_a_plan_reads_no_file_through_a_link_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root,x\n", "utf-8")
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "bands.csv").symlink_to(tmp_path / "secret")
    path = tmp_path / "plans" / "plan.toml"
    path.write_text('[columns.age]\ntechnique = "generalize"\nkind = "table"\nfile = "bands.csv"\n', "utf-8")
    with pytest.raises(InvalidPlan, match="in the plan's folder"):
        Plan.from_toml(path)


def test_a_group_named_like_a_figure_is_refused_before_anything_is_spent() -> None:
    table = pl.DataFrame({"who": ["a", "b"], "estimate": ["x", "y"]})
    budget = dp.Accountant(dp.Cap(1))
    groups = dp.Groups(("estimate",), (("x",),))
    query = dp.Count(unit=dp.Unit("who"), noise=dp.Noise(epsilon=1), groups=groups)
    with pytest.raises(InvalidInput, match="rename the column"):
        dp.answer(table, query, budget)
    assert budget.spent.answers == 0


@pytest.mark.parametrize("dtype", [pl.Enum(["common", "rarest-of-all", "other"]), pl.Categorical(), pl.String()])
def test_a_left_out_value_is_nowhere_in_a_release(dtype: pl.DataType, tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "q": pl.Series(["common"] * 30 + ["rarest-of-all"], dtype=dtype),
            "gone": pl.Series(["other"] * 31).cast(dtype),
        }
    )
    quasi = {"q": {"kind": "flat"}}
    plan = Plan.from_dict(
        {
            "columns": {"q": "keep", "gone": "drop"},
            "anonymity": {"k": 5, "suppression_limit": 0.2, "quasi_identifiers": quasi},
        }
    )
    out = desensitize.apply(table, plan).write(tmp_path / "out")
    assert pl.read_parquet(out / "data.parquet")["q"].to_list() == ["common"] * 30
    written = b"".join(path.read_bytes() for path in out.iterdir())
    assert b"common" in written
    assert b"rarest-of-all" not in written
    assert b"other" not in written
    made = desensitize.anonymize(table, {"q": Hierarchy.flat()}, k=5, suppression_limit=0.2)
    assert "rarest" not in str(made.frame.collect_schema()["q"])


def test_no_refusal_quotes_a_cell_of_a_broken_table(tmp_path: Path) -> None:
    secret = "13800138000"
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + secret.encode() * 10 + b"PAR1")
    (tmp_path / "bad.csv").write_text(f'a,b\n1,2\n{secret},"3\n4,5,6,7\n', "utf-8")
    broken = pl.LazyFrame({"a": [secret + "x"], "b": ["c"]}).with_columns(pl.col("a").cast(pl.Int64))
    plan = Plan.from_dict({"columns": {"a": "keep", "b": "keep"}})
    query = dp.Count(unit=dp.Unit("b"), noise=dp.Noise(epsilon=1), groups=dp.Groups(("a",), ((1,),)))
    attempts: list[Callable[[], object]] = [
        lambda: desensitize.apply(tmp_path / "bad.csv", plan).write(tmp_path / "out"),
        lambda: desensitize.apply(tmp_path / "bad.parquet", plan).write(tmp_path / "out"),
        lambda: desensitize.scan(tmp_path / "bad.parquet"),
        lambda: desensitize.apply(broken, plan).write(tmp_path / "out"),
        lambda: desensitize.apply(broken, plan).write(tmp_path / "out", shuffle=True),
        lambda: desensitize.apply(broken, plan).certificate,
        lambda: desensitize.measure_risk(broken, ["a"]),
        lambda: desensitize.anonymize(broken, {"a": Hierarchy.flat()}),
        lambda: desensitize.scan(broken),
        lambda: dp.answer(broken, query, dp.Accountant(dp.Cap(1))),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidInput) as caught:
            attempt()
        assert secret not in "".join(traceback.format_exception(caught.value))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "bad.parquet"]
