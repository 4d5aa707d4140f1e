"""The journey of a real file that has no subject: census microdata, imported, and sold as a report of counts."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest
from journey_kit import ENVIRONMENT, ROOT, settings_in, short_folder

from shuzha.server.demo.calls import Fetcher
from shuzha.server.demo.cast import enrol, password_of
from shuzha.server.demo.client import Portal
from shuzha.server.demo.file_journey import FileJourney
from shuzha.server.demo.run import report_of
from shuzha.server.demo.walk import HOPS
from shuzha.server.running import RunningPlatform

CENSUS = (ROOT / ".." / "shared" / "data" / "adult" / "adult.csv").resolve()
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
    pytest.mark.skipif(not CENSUS.exists(), reason="there is no ../shared/data/adult beside this repository"),
]


@pytest.fixture(scope="module")
def census() -> Iterator[FileJourney]:
    """The walk over the census file, on a running platform of its own."""
    if shutil.which("bwrap") is None or not ENVIRONMENT.exists():
        pytest.skip("the journey's workspace needs bubblewrap and the sandbox environment: run script/demo once")
    with short_folder() as folder:
        password = password_of(folder / "password")
        running = RunningPlatform(settings_in(folder / "data"))
        try:
            running.start()
            enrol(running.platform.people, Portal(running.platform.settings), password)
            journey = FileJourney(running.platform, CENSUS, password)
            journey.walk()
            yield journey
        finally:
            running.stop()
            shutil.rmtree(running.platform.settings.runtime, ignore_errors=True)


def test_census_walks_the_same_ten_hops(census: FileJourney) -> None:
    report = json.loads(json.dumps(report_of(tuple(census.hops), census.made, {"synthetic": False}, 1.0)))
    assert [hop["id"] for hop in report["hops"]] == list(HOPS)
    assert report["calls"] == 3
    assert report["billed_fen"] == 6_000 == sum(report["shares_fen"].values())
    assert report["log"]["usage"]["entries"] == 3
    assert report["hops"][-1]["made"]["trace"] == [
        "use", "log", "statement", "product", "export", "notebook", "release", "grant", "authorization", "entry",
        "batch",
    ]  # fmt: skip


def test_census_has_no_entity_key_and_each_row_counts_as_one(census: FileJourney) -> None:
    entry = census.person("provider").get(f"/entries/{census.made['entry']}")["entry"]
    assert entry["sheet"]["entity_key"] is None
    assert entry["sheet"]["subject_kind"] == "none"
    assert census.made["rows"] == len(CENSUS.read_text().splitlines()) - 1


def test_report_is_what_the_census_says_with_small_cells_suppressed(census: FileJourney) -> None:
    assert census.made["columns"] == ["education", "sex"]
    calls = Fetcher(census.platform.settings, census.secret, census.made["product_code"])
    rows = list(csv.DictReader(io.StringIO(calls.fetch("counts", "statistics").content.decode("utf-8-sig"))))
    truth = {
        (education, sex): count
        for education, sex, count in pl.read_csv(CENSUS, separator=";").group_by("education", "sex").len().rows()
    }
    address = f"http://{census.platform.settings.bind}:{census.platform.settings.api_port}"
    answer = httpx.get(
        f"{address}/v1/products/{census.made['product_code']}/files/counts", params={"purpose": "statistics"},
        headers={"Authorization": f"Bearer {census.secret}"},
    )  # fmt: skip
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="counts.csv"' in answer.headers["content-disposition"]
    shown = {(row["education"], row["sex"]): row["count"] for row in rows}
    assert len(shown) >= 24
    for place, figure in shown.items():
        assert not figure.isdigit() or int(figure) == truth[place] >= 10, place


def test_report_comes_from_the_platform_and_its_record_names_the_notebook(census: FileJourney) -> None:
    export = census.person("operator").get(f"/exports/{census.made['export']}")
    (file,) = export["files"]
    assert (file["form"], file["sha256"]) == ("table", census.made["sha256"])
    assert len({vote["reviewer"] for vote in export["votes"]}) == 2
    assert export["author"] not in {vote["reviewer"] for vote in export["votes"]}
    product = census.person("consumer").get(f"/products/{census.made['product']}")
    assert product["kind"] == "report"
    assert Path(product["evidence"]["lineage"]["file"]).name == census.made["file"]
