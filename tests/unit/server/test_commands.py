"""The command line: what each command prints, and the four codes that it ends with."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from shuzha.catalog.model import BatchState, EntryState
from shuzha.core.clock import FixedClock
from shuzha.core.ids import new_id
from shuzha.core.settings import Settings, load_settings
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.layout import entries_file
from shuzha.metering.events import UsageEvent
from shuzha.metering.writer import open_store
from shuzha.people.model import OrganisationKind
from shuzha.server.platform import Platform
from shuzha.server.running import prepare, write_settings
from tests.products_kit import ProductCity

PASSWORD = "a-Quiet-gate-77"
CENSUS = "sex;education;salary\n" + "M;school;low\nF;college;high\nM;college;high\n" * 40


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "census.csv"
    path.write_text(CENSUS)
    return path


@dataclass
class Installation:
    """An installation in a folder, with one account of each role that a command may act as."""

    settings: Settings

    def __post_init__(self) -> None:
        self.platform = Platform(self.settings)
        prepare(self.platform)
        people = self.platform.people
        people.bootstrap(login="admin", password=PASSWORD, name="Admin")
        admin = people.sign_in("admin", PASSWORD).account.actor("test")
        for code, role in (("hrss", "provider"), ("data", "authority"), ("audit", "regulator")):
            kind = {"hrss": "department", "data": "authority", "audit": "regulator"}[code]
            made = people.create_organisation(
                admin, code=code, name=code, kind=OrganisationKind(kind), responsible_person="Wang"
            )
            people.create_account(
                admin, login=role, password=PASSWORD, name=role, organisation=made.id, roles=[role]
            )  # fmt: skip

    def actor(self, login: str):
        return self.platform.people.sign_in(login, PASSWORD).account.actor("test")

    def entry(self, code: str):
        return self.platform.catalog.find_entry_by_code(self.actor("provider"), code)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    made = Installation(Settings(data=tmp_path / "data"))
    monkeypatch.setenv("SHUZHA_SETTINGS", str(write_settings(made.settings)))
    monkeypatch.setenv("SHUZHA_PASSWORD", PASSWORD)
    assert load_settings().data == made.settings.data
    return made


def test_scan_names_identifiers_and_repeats_no_value(shuzha, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("phone,town\n" + "".join(f"1380013{number:04d},north\n" for number in range(60)))
    found = shuzha("scan", path, "--json")
    assert found.code == 0
    assert found.json["columns"][0]["role"] == "direct"
    assert "1380013" not in found.out


def test_scan_of_a_file_that_is_not_there_is_bad_input(shuzha, tmp_path):
    assert shuzha("scan", tmp_path / "nothing.csv").code == 2


def test_risk_ends_with_one_where_the_limits_are_not_met(shuzha, tmp_path):
    path = tmp_path / "unique.csv"
    path.write_text("age,town\n" + "".join(f"{number},t{number}\n" for number in range(50)))
    assert shuzha("risk", path, "--qi", "age,town", "--json").code == 1
    safe = tmp_path / "safe.csv"
    safe.write_text("age,town\n" + "40,north\n" * 200)
    assert shuzha("risk", safe, "--qi", "age,town", "--json").code == 0


def test_check_ends_with_one_where_the_table_is_blocked(shuzha, file, tmp_path):
    assert shuzha("check", file, "--rows", "sex", "--json").json["verdict"] == "pass"
    small = tmp_path / "small.csv"
    small.write_text("sex\nM\nF\n")
    found = shuzha("check", small, "--rows", "sex", "--json")
    assert (found.code, found.json["verdict"]) == (1, "block")
    assert shuzha("check", small, "--rows", "").code == 2


def test_check_says_which_repairs_would_pass(shuzha, tmp_path):
    file = tmp_path / "towns.csv"
    file.write_text(
        "town,base\n" + "".join(f"{town},{n}\n" for town, size in (("a", 4), ("b", 40), ("c", 50)) for n in range(size))
    )
    found = shuzha("check", file, "--rows", "town", "--json")
    assert (found.code, found.json["verdict"]) == (1, "block")
    assert {one["name"] for one in found.json["repairs"]} >= {"suppress", "merge"}
    assert "merge" in shuzha("check", file, "--rows", "town").out
    assert shuzha("check", file, "--rows", "town", "--aggregate", "kurtosis", "--json").json["repairs"] == []


def test_desensitize_writes_a_release_with_its_certificate(shuzha, file, tmp_path):
    plan, key, out = tmp_path / "plan.toml", tmp_path / "key", tmp_path / "out"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    assert shuzha("scan", file, "--plan", plan).code == 0
    made = shuzha("desensitize", file, "--plan", plan, "--key-file", key, "-o", out)
    assert made.code == 0
    assert "rows: 120 of 120" in made.out
    assert any(path.suffix == ".parquet" for path in out.rglob("*"))
    again = shuzha("desensitize", file, "--plan", plan, "--key-file", key, "-o", out)
    assert again.code in {1, 2}, "an existing folder is not overwritten"
    key.chmod(0o644)
    assert shuzha("desensitize", file, "--plan", plan, "--key-file", key, "-o", tmp_path / "b").code == 2


def test_command_that_is_cancelled_ends_with_three(shuzha, file, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("desensitize.scan", interrupt)
    found = shuzha("scan", file)
    assert (found.code, found.err.strip()) == (3, "shuzha: cancelled")


def test_ledger_verify_names_a_changed_entry(shuzha, tmp_path):
    city = ProductCity(tmp_path)
    store = open_store(tmp_path, Signer("shuzha/usage", city.keys.signing_key("ledger:usage")), city.clock)
    store.record([use("prd_1", "aut_1") for _ in range(3)])
    store.publish()
    store.close()
    folder = tmp_path / "logs" / "usage"
    assert shuzha("ledger", "verify", folder).code == 0
    lines = entries_file(folder, 1)
    lines.write_bytes(lines.read_bytes().replace(b"loan-review", b"loan-revieW", 2))
    changed = shuzha("ledger", "verify", folder)
    assert changed.code != 0
    assert "entry" in changed.out + changed.err


def test_import_drafts_an_entry_of_the_provider_with_what_was_found(shuzha, installed, file):
    found = shuzha("import", file, "--entry", "CENSUS-1", "--title-en", "Census", "--login", "provider", "--json")
    assert found.code == 0, found.err
    entry = installed.entry("CENSUS-1")
    assert found.json["entry"]["id"] == entry.id
    assert (entry.state, entry.entity_key, entry.name) == (EntryState.DRAFT, None, "census")
    assert [one.name for one in entry.elements] == ["sex", "education", "salary"]
    assert entry.title.en == "Census"
    assert entry.scan is not None
    assert found.json["batch"] is None


def test_import_into_a_published_entry_delivers_a_batch(shuzha, installed, file):
    shuzha("import", file, "--entry", "CENSUS-1", "--login", "provider")
    submitted = installed.entry("CENSUS-1")
    installed.platform.catalog.submit_entry(installed.actor("provider"), submitted.id)
    refused = shuzha("import", file, "--entry", "CENSUS-1", "--login", "provider")
    assert refused.code == 1
    assert "submitted" in refused.err
    installed.platform.catalog.publish_entry(installed.actor("authority"), submitted.id, "complete")
    found = shuzha("import", file, "--entry", "CENSUS-1", "--login", "provider", "--json")
    assert found.code == 0, found.err
    batch = installed.platform.catalog.aggregation.get_batch(installed.actor("provider"), found.json["batch"]["id"])
    assert batch.state is BatchState.RECEIVED, "nobody takes it in while no platform runs"
    receipt = installed.platform.catalog.run_ingest(batch.id)
    assert receipt is not None
    assert receipt.rows == 120


def test_import_takes_what_the_provider_says_of_keys(shuzha, installed, tmp_path):
    path = tmp_path / "Visits 2026.parquet"
    pl.DataFrame({"card": [f"c{number}" for number in range(50)], "day": ["mon"] * 50}).write_parquet(path)
    options = ("--entity-key", "card", "--key-columns", "card", "--login", "provider", "--json")
    found = shuzha("import", path, "--entry", "VISITS", *options)
    assert found.code == 0, found.err
    assert found.json["entry"]["entity_key"] == "card"
    assert found.json["entry"]["name"] == "visits_2026"
    assert shuzha("import", path, "--entry", "OTHER", "--entity-key", "nobody", "--login", "provider").code == 2
    assert installed.entry("OTHER") is None


@pytest.mark.parametrize(("login", "password", "code"), [
    ("provider", "wrong-Password-1", 1), ("regulator", PASSWORD, 1), ("provider", "", 2),
])  # fmt: skip
def test_import_refuses_who_may_not_and_changes_nothing(
    shuzha, installed, file, monkeypatch, login, password, code
):  # fmt: skip
    monkeypatch.setenv("SHUZHA_PASSWORD", password)
    assert shuzha("import", file, "--entry", "CENSUS-1", "--login", login).code == code
    monkeypatch.setenv("SHUZHA_PASSWORD", PASSWORD)
    assert installed.entry("CENSUS-1") is None


def test_import_and_settle_refuse_a_place_without_installation(shuzha, file, tmp_path, monkeypatch):
    monkeypatch.setenv("SHUZHA_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("SHUZHA_PASSWORD", PASSWORD)
    assert shuzha("import", file, "--entry", "CENSUS-1", "--login", "provider").code == 3
    found = shuzha("settle", "--period", "2026-03", "--login", "authority")
    assert found.code == 3
    assert "shuzha serve" in found.err
    assert not (tmp_path / "empty").exists()


def use(product: str, authorization: str) -> UsageEvent:
    usage_id = new_id("usg")
    return UsageEvent(
        usage_id=usage_id, kind="verification", key_id="key_1", idempotency_key=usage_id, consumer="org_bank",
        product=product, authorization=authorization, policy_version="v", claim="insured", purpose="loan-review",
        answer="{}", price=375, waived=False, request_digest="d", occurred_at=dt.datetime(2026, 3, 10, tzinfo=dt.UTC),
    )  # fmt: skip


@pytest.fixture
def metered(tmp_path, monkeypatch):
    """An installation with a product that was used 40 times in March."""
    folder = tmp_path / "data"
    settings = Settings(data=folder, database_url=f"sqlite:///{folder}/records.db")
    folder.mkdir()
    made = Installation(settings)
    city = ProductCity(folder, FixedClock(dt.datetime(2026, 2, 2, 4, tzinfo=dt.UTC)))
    product = city.verification()
    store = open_store(folder, Signer("shuzha/usage", city.keys.signing_key("ledger:usage")), city.clock)
    store.record([use(product.id, product.authorization) for _ in range(40)])
    store.close()
    monkeypatch.setenv("SHUZHA_SETTINGS", str(write_settings(settings)))
    monkeypatch.setenv("SHUZHA_PASSWORD", PASSWORD)
    return made


def test_settle_prints_bills_whose_shares_sum_to_them_and_bears_a_repeat(shuzha, metered):
    first = shuzha("settle", "--period", "2026-03", "--login", "authority", "--json")
    assert first.code == 0, first.err
    by_kind = {one["kind"]: one for one in first.json["statements"]}
    assert by_kind["bill"]["due_fen"] == 150
    assert sum(by_kind["authorization"]["shares"].values()) == 150
    again = shuzha("settle", "--period", "2026-03", "--login", "authority", "--json")
    assert again.json["statements"] == first.json["statements"]
    assert "1.50" in shuzha("settle", "--period", "2026-03", "--login", "authority").out


def test_settle_so_far_stores_nothing(shuzha, metered):
    found = shuzha("settle", "--period", "2026-03", "--so-far", "--login", "authority", "--json")
    assert found.code == 0
    assert found.json["final"] is False
    assert metered.platform.settlement.list_statements(metered.actor("regulator")) == ()


@pytest.mark.parametrize(("period", "login", "code"), [
    ("2026-03", "provider", 1), ("March", "authority", 2), ("2999-01", "authority", 2),
])  # fmt: skip
def test_settle_refuses_others_and_months_that_cannot_be(shuzha, metered, period, login, code):
    assert shuzha("settle", "--period", period, "--login", login).code == code


def test_a_scan_needs_no_installation_and_starts_without_the_server(file):
    # Whoever wants only the engine pays for nothing else.
    code = "import sys; from shuzha.server.cli import main; sys.argv=['shuzha','scan',sys.argv[1]]\n"
    code += "try: main()\nexcept SystemExit as stop: assert not stop.code\n"
    code += "assert 'sqlalchemy' not in sys.modules and 'fastapi' not in sys.modules"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
