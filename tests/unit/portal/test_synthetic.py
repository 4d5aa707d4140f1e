"""Synthetic releases on the pages: what they mean and cost, why not, and a certificate of their own."""

from __future__ import annotations

import html
import re

import pytest

from sandbox.airlock.findings import Verdict
from shuzha.releases.service import ReleaseService
from shuzha.server.portal_app import make_app
from tests.portal_kit import TABLE, PortalCity
from tests.synthetic_kit import FEWER, FIELDS, demand_of, synthetic_city
from tests.unit.portal.conftest import post


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> PortalCity:
    return synthetic_city(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def app(city: PortalCity) -> object:
    return make_app(city.platform)


def releases(city: PortalCity) -> ReleaseService:
    return city.platform.releases


def test_without_a_budget_the_form_says_why_not(sign_in, city: PortalCity) -> None:
    demand, analyst = f"/demands/{city.made['baredemand']}", sign_in("analyst")
    page = analyst.get(demand).text
    assert "the entry has no privacy budget with a delta" in page
    assert re.search(r"<button disabled\s*>Request a synthetic release", page)
    refused = post(analyst, f"{demand}/synthetic", **FIELDS)
    assert refused.status_code == 403
    assert "has no privacy budget" in refused.text


def test_form_says_what_it_costs_and_which_values_nobody_told(sign_in, city: PortalCity) -> None:
    demand = f"/demands/{city.made['demand']}"
    page = sign_in("analyst").get(demand).text
    assert "Request a synthetic release instead" in page
    assert re.search(r"Left of the privacy budget: epsilon [34]\.\d+ at most\.", page)
    assert "the data must not be asked: period, kind, base, district_code" in page
    assert "synthetic rows" in page
    assert "Request a synthetic release" not in sign_in("provider").get(demand).text


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"domains": "[base"}, "not TOML"),
        ({"domains": '[base]\nedges = [["a"], 1]'}, "`base` are of the wrong type"),
        ({"domains": "[base]\nevil = 1"}, "`base` have unknown options"),
        ({"domains": ""}, "nobody said which values `period` may hold"),
        ({"epsilon": "much"}, "no number"),
        ({"epsilon": "9"}, "does not allow"),
        ({"method": "copy"}, "method of a synthetic release is unknown"),
    ],
)
def test_refused_form_says_why_and_keeps_what_was_written(
    sign_in, city: PortalCity, broken: dict[str, str], said: str
) -> None:
    fields = FIELDS | broken
    refused = post(sign_in("analyst"), f"/demands/{city.made['demand']}/synthetic", **fields)
    assert refused.status_code in (403, 422)
    assert said in refused.text
    assert fields["epsilon"] in refused.text
    assert html.escape(fields["domains"].strip().partition("\n")[0]) in refused.text


def test_asked_for_on_the_page_it_is_being_made(sign_in, city: PortalCity) -> None:
    demand, analyst = f"/demands/{city.made['demand']}", sign_in("analyst")
    done = post(analyst, f"{demand}/synthetic", **(FIELDS | {"epsilon": "0.5", "without": "base", "domains": FEWER}))
    assert (done.status_code, done.headers["location"]) == (303, f"{demand}?done=release")
    newest = releases(city).list_releases(city.people["analyst"])[0]
    assert "The synthetic table is being made" in analyst.get(f"/releases/{newest.id}").text


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ("Synthetic rows: they are nobody", "resident_id", "From the truth", "Certificate of synthetic data")),
        ("zh_Hans", ("合成数据：行非真人", "resident_id", "与真实值的距离上限", "合成数据证书")),
    ],
)  # fmt: skip
def test_page_and_certificate_say_what_synthetic_rows_are(
    sign_in, city: PortalCity, language: str, said: tuple[str, ...]
) -> None:
    path = f"/releases/{city.made['synthetic']}"
    for login in ("analyst", "provider", "regulator"):
        page = sign_in(login, language).get(path)
        assert page.status_code == 200
        assert "style=" not in page.text
        for one in said[:-1]:
            assert one in page.text
    alone = sign_in("analyst", language).get(f"{path}/certificate.html").text
    for one in said:
        assert one in alone
    assert re.findall(r'(?:src|href)="|@import|https?://|<script', alone) == []
    assert releases(city).verify(city.people["regulator"], city.made["synthetic"]) == ()


def test_notebook_is_told_that_a_dataset_is_synthetic(city: PortalCity) -> None:
    demand = demand_of(city)
    city.release(demand)
    workspace = city.workspace(demand)
    told = {one["name"]: one for one in city.platform.verbs.datasets(workspace.name)}
    assert set(told) == {"social_insurance", "social_insurance_synthetic"}
    assert told["social_insurance_synthetic"]["kind"] == "synthetic"
    assert "no row is anybody's" in told["social_insurance_synthetic"]["notice"]
    assert "notice" not in told["social_insurance"]


def test_verification_names_the_entry_though_two_releases_are_of_it(city: PortalCity) -> None:
    """The starter's export has a table and a verification over the entry; both kinds of release are in the request."""
    demand = demand_of(city)
    city.release(demand)
    export = city.export(city.workspace(demand), upto="screen")
    assert {file.name: file.entry for file in export.files}["insured"] == city.made["entry"]


def test_tables_of_synthetic_rows_do_not_leave(city: PortalCity) -> None:
    """People cannot be counted in rows that are nobody's."""
    table = TABLE.replace('"social_insurance"', '"social_insurance_synthetic"')
    export = city.export(city.workspace(demand_of(city)), table, upto="screen")
    assert [file.verdict for file in export.files] == [Verdict.BLOCK]
    assert "min_count" in {finding.rule for finding in export.findings}
