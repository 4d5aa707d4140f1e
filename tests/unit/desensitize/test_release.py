"""Releases: whole or absent on disk, certified, and protected until the measured risk meets the limits."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest

import desensitize
from desensitize import Hierarchy, InvalidInput, InvalidPlan, Plan
from desensitize.certificate import CERTIFICATE_FILE
from desensitize.fingerprint import hash_content
from desensitize.identifiers.examples import make_resident_id
from desensitize.writing import DATA_FILE

KEY = bytes(range(32))
PLAN = Plan.from_toml(
    """
title = "insurance"
[columns.who]
technique = "pseudonymize"
[columns.name]
technique = "drop"
[columns.area]
technique = "keep"
[columns.born]
technique = "generalize"
kind = "date"
level = "month"
[columns.paid]
technique = "round"
to = 10
[anonymity]
k = 3
entity = "who"
suppression_limit = 0.05
mode = "enclave"
[anonymity.quasi_identifiers.area]
kind = "region"
[anonymity.quasi_identifiers.born]
kind = "table"
rows = [["x", "y"]]
"""
)
PLAIN = Plan(PLAN.columns)
BORN = Hierarchy.from_rows(
    [(f"{y}-{m:02}", f"{y}", f"{y // 10 * 10}s", "*") for y in range(1950, 2011) for m in range(1, 13)]
)


def _people(count: int, rows_each: int = 3) -> pl.DataFrame:
    rng = random.Random(7)
    areas = ["330102", "330105", "330106", "330203", "330205"]
    rows = []
    for number in range(count):
        area, born = rng.choice(areas), f"{rng.randint(1950, 2010)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        rows += [(f"p{number}", f"名{number}", area, born, rng.randint(1, 9999)) for _ in range(rows_each)]
    return pl.DataFrame(rows, schema=["who", "name", "area", "born", "paid"], orient="row")


def test_protect_meets_the_limits_by_distinct_people() -> None:
    people = _people(400)
    release = desensitize.protect(
        people, PLAN, KEY, {"area": Hierarchy.regions(), "born": BORN}, k=5, entity="who", suppression_limit=0.05
    )
    out = release.frame.collect()
    assert out.columns == ["who", "area", "born", "paid"]
    assert out.group_by("area", "born").agg(pl.col("who").n_unique())["who"].min() >= 5
    assert out["who"].str.len_chars().unique().to_list() == [32]
    certificate = release.certificate
    json.dumps(certificate)
    assert certificate["meets_limits"] is True
    assert certificate["level"] == 3
    assert certificate["measured"]["entity"] == "who"
    assert certificate["done"]["anonymized"]["k"] == 5
    assert (
        certificate["input"]["rows"] - certificate["output"]["rows"] == certificate["done"]["anonymized"]["suppressed"]
    )
    assert "GB/T 42460" in certificate["limits"]["source"]
    assert certificate["output"]["content_sha256"] == hash_content(out.lazy())[0]


def test_protect_raises_k_to_what_the_mode_asks_for() -> None:
    hierarchies = {"area": Hierarchy.regions(), "born": BORN}
    release = desensitize.protect(_people(400), PLAN, KEY, hierarchies, k=2, entity="who", mode="public")
    assert release.risk is not None
    assert release.risk.smallest_class >= 20
    assert release.risk.prosecutor <= 0.05


def test_protect_takes_everything_from_the_plan() -> None:
    plan = Plan.from_dict(
        {
            **PLAN.to_dict(),
            "anonymity": {
                "k": 4,
                "entity": "who",
                "quasi_identifiers": {"area": {"kind": "region"}, "born": {"kind": "flat"}},
            },
        }
    )
    release = desensitize.protect(_people(100), plan, KEY)
    assert release.measurement is not None
    assert release.measurement.k == 4
    assert desensitize.apply(_people(100), plan, KEY).certificate == release.certificate


def test_protect_refuses_what_it_cannot_protect() -> None:
    people = _people(10)
    area = {"area": Hierarchy.regions()}
    with pytest.raises(InvalidInput, match="too few distinct entities"):
        desensitize.protect(people, PLAN, KEY, area, k=20, entity="who")
    with pytest.raises(InvalidPlan, match="`name` is dropped by the plan"):
        desensitize.protect(people, PLAN, KEY, {"name": Hierarchy.flat()})
    with pytest.raises(InvalidInput, match="entity column `person` is not in the table"):
        desensitize.protect(people, PLAN, KEY, area, entity="person")
    nobody = people.with_columns(who=pl.lit(None, dtype=pl.String))
    with pytest.raises(InvalidInput, match="entity column `who` holds nulls"):
        desensitize.protect(nobody, PLAN, KEY, area, k=3, entity="who")
    found = {"columns": [{"name": "area", "role": "direct"}]}
    with pytest.raises(InvalidPlan, match="column `area` is a direct identifier that the plan shows"):
        desensitize.protect(people, PLAN, KEY, area, k=3, entity="who", found=found)


def test_write_leaves_a_whole_directory_or_none(tmp_path: Path) -> None:
    release = desensitize.apply(_people(30), PLAIN, KEY)
    written = release.write(tmp_path / "deep" / "release")
    assert sorted(path.name for path in written.iterdir()) == [CERTIFICATE_FILE, DATA_FILE]
    certificate = json.loads((written / CERTIFICATE_FILE).read_text(encoding="utf-8"))
    assert certificate == json.loads(json.dumps(release.certificate))
    assert certificate["output"]["content_sha256"] == hash_content(pl.scan_parquet(written / DATA_FILE))[0]
    with pytest.raises(InvalidInput, match="already there"):
        release.write(written)

    release.frame = release.frame.with_columns(pl.col("area").cast(pl.Int8))
    with pytest.raises(InvalidInput) as caught:
        release.write(tmp_path / "half")
    assert "330106" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_hash_of_a_tiny_table_is_withheld() -> None:
    certificate = desensitize.apply(_people(2), PLAIN, KEY).certificate
    assert certificate["input"]["content_sha256"] is None
    assert "fewer than 20" in certificate["input"]["content_sha256_withheld"]


def test_apply_reads_csv_as_text_and_refuses_other_files(tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("c\n007\n", encoding="utf-8")
    plan = Plan.from_dict({"columns": {"c": "keep"}})
    assert desensitize.apply(good, plan).frame.collect()["c"].to_list() == ["007"]
    (tmp_path / "bad.csv").write_bytes(b"c\n\xff\xff\n")
    (tmp_path / "empty.csv").write_bytes(b"")
    for name, words in [
        ("bad.csv", "neither UTF-8 nor GB18030"),
        ("empty.csv", "is empty"),
        ("no.csv", "does not exist"),
        ("x.xls", "does not"),
    ]:
        with pytest.raises(InvalidInput, match=words):
            desensitize.apply(tmp_path / name, plan)


@pytest.mark.parametrize("mode", ["public", "agreement", "enclave"])
def test_limits_come_from_policy_data(mode: str) -> None:
    limits = desensitize.limits_of(mode)
    assert limits.smallest_class == {"public": 20, "agreement": 5, "enclave": 3}[mode]
    with pytest.raises(InvalidPlan, match="public, agreement, enclave"):
        desensitize.limits_of("open")


def test_measure_risk_counts_people_and_takes_the_population_for_the_journalist() -> None:
    frame = pl.DataFrame({"area": ["a", "a", "a", "b"], "who": [1, 1, 2, 3]})
    risk = desensitize.measure_risk(frame, ["area"], entity="who", limits=desensitize.limits_of("enclave"))
    assert (risk.smallest_class, risk.classes, risk.entities, risk.rows) == (1, 2, 3, 4)
    assert risk.records_at_risk == 1.0
    assert (risk.overall, risk.level, risk.meets) == (0.14, 2, False)
    population = pl.DataFrame({"area": ["a"] * 10 + ["b"] * 4, "who": range(14)})
    assert desensitize.measure_risk(frame, ["area"], entity="who", population=population).journalist == 0.25
    assert desensitize.measure_risk(frame.clear(), ["area"], entity="who").meets
    assert desensitize.measure_risk(frame, []).level == 4
    assert desensitize.measure_risk(frame, ["area"], direct_identifiers=["who"]).level == 1


def test_protect_takes_an_empty_table() -> None:
    release = desensitize.protect(_people(1).clear(), PLAN, KEY, {"area": Hierarchy.regions()}, k=3, entity="who")
    assert release.frame.collect().height == 0
    assert release.certificate["output"]["rows"] == 0


def test_errors_of_the_table_engine_do_not_quote_values() -> None:
    broken = pl.LazyFrame({"c": ["SECRET"]}).with_columns(pl.col("c").cast(pl.Int64))
    for work in (desensitize.scan, lambda table: desensitize.measure_risk(table, ["c"])):
        with pytest.raises(InvalidInput, match="could not be read or transformed") as caught:
            work(broken)
        assert "SECRET" not in str(caught.value)


def test_read_csv_with_byte_order_mark_and_semicolons(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("\ufeff姓名;年龄\n张三;5\n".encode())
    assert desensitize.scan(tmp_path / "t.csv")["姓名"].role == "direct"


@pytest.mark.parametrize(
    ("technique", "shown"),
    [
        ({"technique": "mask", "keep_first": 14}, False),
        ({"technique": "mask", "keep_first": 17}, True),
        ({"technique": "mask", "keep_first": 6, "keep_last": 9}, True),
        ({"technique": "mask", "keep_first": 6, "keep_last": 4}, False),
        ({"technique": "mask"}, False),
        ({"technique": "drop"}, False),
    ],
)
def test_refuses_a_mask_that_hides_next_to_nothing(technique: dict[str, object], shown: bool) -> None:
    table = pl.DataFrame(
        {"id": [make_resident_id(random.Random(number)) for number in range(200)], "area": ["A", "B"] * 100}
    )
    plan = Plan.from_dict({"columns": {"id": technique, "area": "keep"}})
    options = {"quasi_identifiers": {"area": Hierarchy.flat()}, "k": 5, "found": desensitize.scan(table).to_dict()}
    if shown:
        with pytest.raises(InvalidPlan, match="column `id` is a direct identifier that the plan shows"):
            desensitize.protect(table, plan, **options)
    else:
        assert desensitize.protect(table, plan, **options).risk


@pytest.mark.parametrize("technique", [{"technique": "round", "to": 1}, {"technique": "clip", "top": 1e15}])
def test_refuses_a_direct_number_that_stays_what_it_was(technique: dict[str, object]) -> None:
    table = pl.DataFrame({"phone": [13_800_130_000 + number for number in range(200)], "area": ["A", "B"] * 100})
    plan = Plan.from_dict({"columns": {"phone": technique, "area": "keep"}})
    with pytest.raises(InvalidPlan, match="column `phone` is a direct identifier that the plan shows"):
        desensitize.protect(table, plan, None, {"area": Hierarchy.flat()}, 5, found=desensitize.scan(table).to_dict())
