"""A use is walked back to its raw data, each link checked, for supervisors and nobody else."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from fastapi.testclient import TestClient

from products.registry.store import PRODUCTS
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.server.portal_app import make_app
from shuzha.settlement.model import StatementKind
from tests.portal_kit import PASSWORD
from tests.sold_kit import Sold, make_sold

KINDS = [
    "use", "log", "product", "export", "notebook", "release", "grant", "authorization", "entry", "batch",
]  # fmt: skip


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Sold:
    return make_sold(tmp_path_factory.mktemp("city"))


def test_a_use_is_walked_back_to_the_batch_and_every_link_holds(sold):
    for product in (sold.verification, sold.report):
        found = sold.trace(product)
        kinds = KINDS if product is sold.report else [*KINDS[:3], "index", *KINDS[3:]]
        assert [link.kind for link in found.links] == kinds
        assert {link.kind: link.holds for link in found.links} == {kind: kind != "entry" or None for kind in kinds}
        assert found.holds
        by_kind = {link.kind: link for link in found.links}
        assert by_kind["export"].hashes["record"] == product.evidence.certificate_sha256
        assert by_kind["product"].hashes["output"] == by_kind["export"].hashes["output"]
        assert by_kind["batch"].hashes["receipt"] == by_kind["batch"].hashes["file"]
        assert len(by_kind["authorization"].facts["signed_by"]) == 2


def test_a_changed_record_is_found_and_named(sold):
    database, platform = sold.city.platform.database, sold.city.platform
    with database.read() as work:
        before = work.get(AUTHORIZATIONS, sold.report.authorization)
        product = work.get(PRODUCTS, sold.report.id)
    with database.work(platform.actor("test")) as work:
        changed = work.save(AUTHORIZATIONS, dataclasses.replace(before, title="another title"))
        evidence = dataclasses.replace(product.evidence, output_sha256="0" * 64)
        other = work.save(PRODUCTS, dataclasses.replace(product, evidence=evidence))
    found = sold.trace(sold.report)
    assert {link.kind for link in found.links if link.holds is False} == {"authorization", "product", "export"}
    assert not found.holds
    with database.work(platform.actor("test")) as work:
        work.save(AUTHORIZATIONS, dataclasses.replace(before, revision=changed.revision))
        work.save(PRODUCTS, dataclasses.replace(product, revision=other.revision))
    assert sold.trace(sold.report).holds


@pytest.mark.parametrize("login", ["provider", "operator", "analyst", "consumer", "auditor", "admin"])
def test_oversight_refuses_who_may_not_see_the_ledger(sold, login):
    actor = sold.city.people[login]
    with pytest.raises(NotAllowed):
        sold.oversight.trace(actor, sold.uses[sold.report.id][0])
    with pytest.raises(NotAllowed):
        sold.oversight.usage_beside_money(actor, sold.period)


def test_trace_of_an_unknown_use_is_not_found(sold):
    with pytest.raises(NotFound):
        sold.oversight.trace(sold.city.people["regulator"], "usg_nothing")


def test_usage_stands_beside_money_and_shares_sum_to_it(sold):
    found = sold.oversight.usage_beside_money(sold.city.people["regulator"], sold.period)
    assert found.total.uses == 8
    assert found.total.waived_fen == 8  # two waived uses at 375 毫, rounded once
    assert found.total.priced_fen == found.total.due_fen + found.total.waived_fen
    for group in (found.products, found.consumers, found.operators):
        assert sum(one.uses for one in group) == 8
        assert all(sum(one.shares.values()) == one.due_fen for one in group)
    assert {one.id for one in found.products} == {sold.verification.id, sold.report.id}
    assert [one.id for one in found.operators] == [sold.report.operator]
    with pytest.raises(Invalid):
        sold.oversight.usage_beside_money(sold.city.people["regulator"], "November")


def test_the_api_gives_a_trace_to_the_regulator_alone(sold):
    with TestClient(make_app(sold.city.platform), base_url="http://portal.localhost") as client:

        def headers(login: str) -> dict[str, str]:
            answer = client.post("/api/v1/session", json={"login": login, "password": PASSWORD})
            return {"Authorization": f"Bearer {answer.json()['token']}"}

        path = f"/api/v1/oversight/trace/{sold.uses[sold.report.id][0]}"
        found = client.get(path, headers=headers("regulator"))
        assert found.status_code == 200
        assert found.json()["holds"] is True
        assert [link["kind"] for link in found.json()["links"]] == KINDS
        refused = client.get(path, headers=headers("consumer"))
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
        usage = client.get("/api/v1/oversight/usage", params={"period": sold.period}, headers=headers("regulator"))
        assert usage.json()["total"]["uses"] == 8


def test_a_settled_line_is_walked_back_too(sold):
    city = sold.city
    period, regulator = sold.period, city.people["regulator"]
    last = (city.today.replace(day=1) + dt.timedelta(days=32)).replace(day=1) - dt.timedelta(days=1)
    city.advance(last)
    statements = city.platform.settlement.settle(city.people["authority"], period)
    (bill,) = [one for one in statements if one.kind is StatementKind.BILL]
    for place, line in enumerate(bill.lines):
        found = sold.oversight.trace_line(regulator, bill.id, place)
        (link,) = found.find("statement")
        assert (link.id, link.holds, link.facts["uses"]) == (bill.id, True, line.count)
        assert found.holds
    with pytest.raises(NotFound):
        sold.oversight.trace_line(regulator, bill.id, len(bill.lines))
