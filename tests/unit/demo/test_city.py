"""The demo city: valid numbers, stable bytes, realistic shares, and truths that a verification call can be held to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from desensitize.identifiers.check_digits import is_resident_id, is_uscc
from shuzha.server.demo import city as demo
from shuzha.server.demo.city import columns, digits
from shuzha.server.demo.city.generate import City

SIZES = {"residents": 4_000, "enterprises": 400, "insurance_rows": 30_000, "trips": 3_000}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return demo.generate(tmp_path_factory.mktemp("city"), 7, **SIZES)


def test_generate_writes_the_asked_sizes(city: City) -> None:
    assert [(one.name, one.rows) for one in city.registers] == [
        ("residents", 4_000), ("enterprises", 400), ("social_insurance", 30_000), ("transit_trips", 3_000)
    ]  # fmt: skip
    for register in city.registers:
        frame = register.scan().collect()
        assert frame.height == register.rows
        assert dict(frame.schema) == columns.schema(register.name)


def test_generate_makes_valid_resident_ids_that_agree_with_the_row(city: City) -> None:
    people = city.register("residents").scan().collect()
    assert people["resident_id"].n_unique() == people.height
    assert all(is_resident_id(number) for number in people["resident_id"])
    assert (people["resident_id"].str.slice(6, 8) == people["birth_date"].dt.strftime("%Y%m%d")).all()
    odd = people["resident_id"].str.slice(16, 1).cast(pl.Int64) % 2 == 1
    assert (odd == (people["sex"] == "男")).all()


def test_generate_makes_valid_credit_codes_with_a_valid_organisation_code_inside(city: City) -> None:
    firms = city.register("enterprises").scan().collect()
    assert firms["uscc"].n_unique() == firms.height
    assert all(is_uscc(code) for code in firms["uscc"])
    code = "91110000600037341L"
    body = np.array([list(code[8:16].encode())], dtype=np.uint8)
    assert chr(digits._organisation_check(body)[0]) == code[16]


def test_generate_gives_the_same_bytes_for_the_same_seed(city: City, tmp_path: Path) -> None:
    again = demo.generate(tmp_path / "again", 7, **SIZES)
    other = demo.generate(tmp_path / "other", 8, **SIZES)
    assert [one.sha256 for one in again.registers] == [one.sha256 for one in city.registers]
    assert not {one.sha256 for one in other.registers} & {one.sha256 for one in city.registers}


def test_generate_refers_only_to_residents_and_enterprises_of_the_city(city: City) -> None:
    people = city.register("residents").scan().select("resident_id")
    firms = city.register("enterprises").scan().select(employer="uscc")
    insurance = city.register("social_insurance").scan()
    assert insurance.join(people, on="resident_id", how="anti").collect().is_empty()
    employed = insurance.filter(pl.col("employer").is_not_null())
    assert employed.join(firms, on="employer", how="anti").collect().is_empty()
    assert not people.join(insurance, on="resident_id", how="anti").collect().is_empty()


def test_generate_makes_the_claim_true_of_most_but_not_nearly_all(city: City) -> None:
    holds = pl.all_horizontal(pl.col(one["column"]) == one["value"] for one in demo.claim_conditions())
    share = city.register("social_insurance").scan().group_by("resident_id").agg(holds.any().alias("yes"))
    assert 0.60 <= share.select(pl.col("yes").mean()).collect().item() <= 0.75


def test_generate_leaves_identifiers_in_the_notes(city: City) -> None:
    notes = city.register("social_insurance").scan().select("note").collect()["note"]
    assert 0.04 < notes.is_not_null().mean() < 0.08
    assert notes.str.contains(r"[1-9]\d{16}[\dX]").sum() > 0
    assert notes.str.contains(r"1[3-9]\d{9}").sum() > 0


def test_generate_says_synthetic_beside_and_inside_every_file(city: City) -> None:
    told = json.loads((city.directory / "README.json").read_text("utf-8"))
    assert told["synthetic"] is True
    for register in city.registers:
        if register.format == "parquet":
            assert pl.read_parquet_metadata(register.path)["synthetic"] == "true"
        else:
            beside = register.path.with_name(register.path.name + "-metadata.json")
            assert json.loads(beside.read_text("utf-8"))["synthetic"] is True


def test_find_city_knows_a_whole_city_only(city: City, tmp_path: Path) -> None:
    assert demo.find_city(city.directory) == city
    assert demo.find_city(tmp_path) is None


@pytest.mark.parametrize("sizes", [{"residents": -1}, {"residents": 0, "insurance_rows": 5, "trips": 0}])
def test_generate_refuses_impossible_sizes(sizes: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot make a city"):
        demo.generate(tmp_path / "no", **sizes)
    assert not (tmp_path / "no").exists()


def test_generate_makes_an_empty_city(tmp_path: Path) -> None:
    city = demo.generate(tmp_path, residents=0, enterprises=0, insurance_rows=0, trips=0)
    assert all(register.scan().collect().is_empty() for register in city.registers)


def test_generate_fits_a_small_number_of_insurance_rows(tmp_path: Path) -> None:
    city = demo.generate(tmp_path, residents=300, enterprises=0, insurance_rows=50, trips=10)
    insurance = city.register("social_insurance").scan().collect()
    assert insurance.height == 50
    assert insurance["employer"].is_null().all()


def test_pick_subjects_tells_the_truth(city: City) -> None:
    subjects = demo.pick_subjects(city, each=4)
    insurance = city.register("social_insurance").scan()
    yes = insurance.filter(*(pl.col(one["column"]) == one["value"] for one in demo.claim_conditions()))
    insured = set(yes.select("resident_id", "name").collect().iter_rows())
    for subject in subjects.all():
        assert ((subject.resident_id, subject.name) in insured) == (subject.expected == "match"), subject.why
        assert is_resident_id(subject.resident_id)
    assert len(subjects.all()) == 16
    assert demo.pick_subjects(city, each=4) == subjects


def test_pick_subjects_refuses_a_city_without_insurance(tmp_path: Path) -> None:
    city = demo.generate(tmp_path, residents=50, enterprises=5, insurance_rows=0, trips=0)
    with pytest.raises(ValueError, match="make it larger"):
        demo.pick_subjects(city)
