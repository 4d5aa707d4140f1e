"""`shuzha policy`: the answer, its clause, and the code that it ends with."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from shuzha.core.clock import FixedClock
from shuzha.core.settings import Settings
from shuzha.people.model import OrganisationKind
from shuzha.server.platform import Platform
from shuzha.server.running import prepare, write_settings
from tests.authorization_kit import City

PASSWORD = "a-Quiet-gate-77"


@pytest.fixture
def grant(tmp_path, monkeypatch):
    """An installation with one grant, and the authority's account."""
    folder = tmp_path / "data"
    folder.mkdir()
    settings = Settings(data=folder, database_url=f"sqlite:///{folder}/records.db")
    platform = Platform(settings)
    prepare(platform)
    people = platform.people
    people.bootstrap(login="admin", password=PASSWORD, name="Admin")
    admin = people.sign_in("admin", PASSWORD).account.actor("test")
    made = people.create_organisation(
        admin, code="data", name="data", kind=OrganisationKind.AUTHORITY, responsible_person="Wang"
    )
    people.create_account(
        admin, login="authority", password=PASSWORD, name="authority", organisation=made.id, roles=["authority"]
    )
    city = City(folder, FixedClock(dt.datetime(2026, 3, 2, 4, tzinfo=dt.UTC)))
    entry = city.add_entry()
    monkeypatch.setenv("SHUZHA_SETTINGS", str(write_settings(settings)))
    monkeypatch.setenv("SHUZHA_PASSWORD", PASSWORD)
    monkeypatch.setenv("SHUZHA_LOGIN", "authority")
    return city.grant(city.authorize(entry), entry)


def test_explain_says_no_with_the_clause_and_ends_with_one(shuzha, grant):
    asked = ("policy", "explain", "data:release", "--grant", grant.id, "--columns", "period", "--json")
    found = shuzha(*asked, "--at", "2026-03-03T10:00:00+08:00")
    assert found.code == 1, found.err
    assert found.json["decision"]["code"] == "role.missing"
    assert any("data:release,operator,own" in line for line in found.json["role_lines"])
    assert len(found.json["lines"]) == len(grant.scope.lines)
    said = shuzha(*asked[:-1])
    assert said.code == 1
    assert "policy line 1" in said.out


def test_explain_says_yes_and_ends_with_nought(shuzha, grant):
    asked = ("policy", "explain", "authorization:approve", "--kind", "authorization", "--json")
    found = shuzha(*asked, "--organisation", "org_operator", "--author", "acc_zhao")
    assert (found.code, found.json["decision"]["allowed"]) == (0, True)
    unsaid = shuzha(*asked)
    assert (unsaid.code, unsaid.json["decision"]["code"]) == (1, "relation.independent")


@pytest.mark.parametrize("options", [("--at", "soon"), ("--at", "2026-03-03T10:00:00"), ("--account", "nobody")])
def test_explain_refuses_what_it_cannot_read(shuzha, grant, options):
    assert shuzha("policy", "explain", "data:release", "--grant", grant.id, *options).code == 2


def test_what_if_names_what_would_be_lost(shuzha, grant):
    found = shuzha("policy", "what-if", grant.authorization, "--operations", "verify", "--json")
    assert found.code == 0, found.err
    assert found.json["differences"][0]["parts"][0]["lost"] == ["aggregate"]
    assert "aggregate" in shuzha("policy", "what-if", grant.authorization, "--operations", "verify").out
    assert shuzha("policy", "what-if", grant.authorization, "--valid-until", "2026-03-02", "--json").json["clauses"]
    assert shuzha("policy", "what-if", grant.authorization, "--operations", "fly").code == 2


def test_a_grant_exported_is_checked_again(shuzha, grant, tmp_path):
    exported = shuzha("policy", "export", grant.id)
    assert exported.code == 0, exported.err
    file = tmp_path / "grant.json"
    file.write_text(exported.out, "utf-8")
    assert shuzha("policy", "check", file, "--json").json["identical"] is True
    changed = json.loads(exported.out)
    changed["shuzha:columns"].append("name")
    file.write_text(json.dumps(changed), "utf-8")
    assert shuzha("policy", "check", file).code == 2
    file.write_text("{", "utf-8")
    assert shuzha("policy", "check", file).code == 2
