"""What the walk shows: the report of the ten hops, by its figures, and what it must not tell."""

from __future__ import annotations

import json
from typing import Any

from journey_kit import Walked

from shuzha.ledger.verify import verify_folder
from shuzha.server.demo import sheets
from shuzha.server.demo.journey import HOPS
from shuzha.server.demo.run import summary

TEN = ["catalog", "aggregate", "authorize", "release", "sandbox", "airlock", "product", "serve", "settle", "oversee"]


def report_of(walked: Walked) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        json.dumps(summary(tuple(walked.journey.hops), walked.made, walked.size, walked.seconds))
    )
    return found


def test_walk_reports_ten_hops_in_order(walked: Walked) -> None:
    report = report_of(walked)
    hops = report["hops"]
    assert [hop["id"] for hop in hops] == TEN == list(HOPS)
    for hop in hops:
        assert hop["seconds"] >= 0
        assert hop["proved"], hop["id"]
    print(f"ten hops in {walked.seconds:.1f} s: " + ", ".join(f"{hop['id']} {hop['seconds']}" for hop in hops))


def test_report_gives_product_calls_and_money(walked: Walked) -> None:
    report = report_of(walked)
    product = walked.person("consumer").get(f"/products/{walked.made['product']}")
    assert report["product_code"] == product["code"]
    assert product["state"] == "in_service"
    # 375 毫 a call: one fen is a hundred 毫, rounded half up once a line.
    assert report["billed_fen"] == (report["calls"] * sheets.PRICE_HAO + 50) // 100 > 0
    assert sum(report["shares_fen"].values()) == report["billed_fen"]
    assert report["calls"] == 40


def test_one_output_passed_one_was_mended_and_one_was_held_back_by_differencing(walked: Walked) -> None:
    analyst = walked.person("analyst")
    passed, mended, blocked = (
        analyst.get(f"/exports/{walked.made[name]}") for name in ("export", "mended", "blocked")
    )  # fmt: skip
    assert (passed["state"], passed["round"]) == ("released", 1)
    assert (mended["state"], mended["round"]) == ("released", 2)
    assert "min_count" in next(step["rules"] for step in mended["steps"] if step["verb"] == "return")
    assert blocked["state"] == "returned"
    assert {one["rule"] for one in blocked["findings"] if one["severity"] == "block"} == {"differencing"}
    assert "differencing" in next(hop["proved"] for hop in report_of(walked)["hops"] if hop["id"] == "airlock")


def test_report_gives_the_logs_as_the_offline_verifier_finds_them(walked: Walked) -> None:
    report = report_of(walked)
    usage = report["log"]["usage"]
    assert usage["entries"] >= report["calls"]
    assert usage["signed"] == usage["entries"]
    for name in ("usage", "audit"):
        found = verify_folder(walked.settings.folder("logs") / name, None, None, None)
        assert found.sound, found.faults
        assert found.size >= report["log"][name]["entries"]


def test_report_tells_no_secret_and_no_person(walked: Walked) -> None:
    text = json.dumps(report_of(walked), ensure_ascii=False)
    assert walked.password not in text
    assert walked.journey.secret not in text
    people = walked.city.register("residents").scan().select("resident_id", "name", "mobile").collect()
    assert len(people) == walked.size.residents
    for column in ("resident_id", "mobile"):
        assert not [value for value in people[column].drop_nulls() if str(value) in text], column


def test_report_says_that_the_city_is_synthetic(walked: Walked) -> None:
    assert report_of(walked)["synthetic"] is True
