"""`shuzha trace` walks a use, a fen and an entry, and says yes or NO at each station."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from products.registry.store import PRODUCTS
from shuzha.server import schema
from shuzha.server.cli import app
from shuzha.server.running import write_settings
from tests.portal_kit import PASSWORD
from tests.sold_kit import Sold, make_sold


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Sold:
    return make_sold(tmp_path_factory.mktemp("city"))


@pytest.fixture
def run(sold: Sold, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema, "check_current", lambda _database: None)  # The kit makes its tables directly.
    monkeypatch.setenv("SHUZHA_SETTINGS", str(write_settings(sold.city.platform.settings)))
    monkeypatch.setenv("SHUZHA_PASSWORD", PASSWORD)

    def run(*words: str, login: str = "regulator"):
        return CliRunner().invoke(app, ["trace", *words, "--login", login])

    return run


def test_a_use_and_an_entry_are_walked_and_every_station_says_yes(sold: Sold, run) -> None:
    use = run(sold.uses[sold.report.id][0], "--json")
    assert use.exit_code == 0, use.output
    told = json.loads(use.output)
    assert told["holds"] is True
    assert [link["kind"] for link in told["links"]][:3] == ["use", "log", "product"]
    entry = run(sold.report.entry)
    assert entry.exit_code == 0
    assert "yes" in entry.output
    assert "NO" not in entry.output


def test_a_station_that_does_not_hold_says_no(sold: Sold, run) -> None:
    database = sold.city.platform.database
    with database.work(sold.city.platform.actor("test")) as work:
        product = work.get(PRODUCTS, sold.report.id)
        evidence = dataclasses.replace(product.evidence, output_sha256="0" * 64)
        other = work.save(PRODUCTS, dataclasses.replace(product, evidence=evidence))
    found = run(sold.uses[sold.report.id][0])
    assert type(found.exception).__name__ == "NotAllowed"
    assert "NO" in found.output
    with database.work(sold.city.platform.actor("test")) as work:
        work.save(PRODUCTS, dataclasses.replace(product, revision=other.revision))


def test_what_cannot_be_walked_is_bad_input(run, tmp_path: Path) -> None:
    assert type(run("org_1").exception).__name__ == "Invalid"
    assert type(run("stm_nothing").exception).__name__ == "NotFound"
    assert type(run("usg_nothing", login="consumer").exception).__name__ == "NotAllowed"
