"""Alerts, orders, receipts and walks, through a city that has sold."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from fastapi.testclient import TestClient

from products.consumers.model import KeyState
from products.registry.model import ProductState
from products.registry.store import PRODUCTS
from shuzha.core.clock import start_of_day
from shuzha.core.errors import Invalid, NotAllowed, NotFound, TransitionNotAllowed
from shuzha.oversight.model import AlertKind, AlertState, OrderKind, OrderVerb
from shuzha.oversight.usage import Wanted
from shuzha.server.portal_app import make_app
from shuzha.server.subscriptions import job_handlers
from shuzha.settlement.model import StatementKind
from tests.portal_kit import PASSWORD
from tests.sold_kit import Sold, make_sold

NO = '{"result":"no_match","usage_id":"u"}'


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Sold:
    made = make_sold(tmp_path_factory.mktemp("city"))
    made.city.key(made.verification)
    return made


def watch(sold: Sold) -> list[tuple[AlertKind, str]]:
    platform = sold.city.platform
    platform.alerts.watch(platform.actor("watch"))
    return [(one.kind, one.product) for one in platform.alerts.list_alerts(sold.city.people["regulator"])]


def at_hour(sold: Sold, hour: int, days_ago: int = 0) -> dt.datetime:
    return start_of_day(sold.city.today - dt.timedelta(days=days_ago)) + dt.timedelta(hours=hour)


def test_a_fen_is_somebodys_and_all_fen_together_are_the_bill(sold: Sold) -> None:
    city = sold.city
    regulator = city.people["regulator"]
    bill = next(
        one for one in city.platform.settlement.so_far(city.people["authority"], sold.period).of(StatementKind.BILL)
    )
    from shuzha.oversight.walks import find_fen

    counted: dict[str, int] = {}
    for fen in range(1, bill.due_fen - bill.tax_fen + 1):
        found = find_fen("stm", bill.lines, fen)
        counted[found.party] = counted.get(found.party, 0) + 1
    parts: dict[str, int] = {}
    for line in bill.lines:
        for party, fen in line.parts.items():
            parts[party] = parts.get(party, 0) + fen
    assert sum(counted.values()) == bill.due_fen - bill.tax_fen
    assert all(counted.get(party, 0) <= fen for party, fen in parts.items())
    with pytest.raises(NotFound):
        find_fen("stm", bill.lines, 10**9)
    with pytest.raises(NotFound):
        find_fen("stm", bill.lines, 0)
    with pytest.raises(NotFound):
        city.platform.walks.trace_fen(regulator, "stm_nothing", 1)


def test_an_entry_is_walked_to_its_uses_and_its_money(sold: Sold) -> None:
    city, regulator = sold.city, sold.city.people["regulator"]
    found = city.platform.walks.trace_entry(regulator, sold.report.entry)
    kinds = {link.kind for link in found.links}
    assert {"entry", "batch", "authorization", "grant", "release", "export", "product", "use"} <= kinds
    assert found.holds
    assert found.uses == 8
    assert {link.id for link in found.links if link.kind == "use"} == {sold.report.code, sold.verification.code}
    database = city.platform.database
    with database.read() as work:
        product = work.get(PRODUCTS, sold.report.id)
    evidence = dataclasses.replace(product.evidence, output_sha256="0" * 64)
    with database.work(city.platform.actor("test")) as work:
        other = work.save(PRODUCTS, dataclasses.replace(product, evidence=evidence))
    broken = city.platform.walks.trace_entry(regulator, sold.report.entry)
    assert not broken.holds
    assert {link.kind for link in broken.links if link.holds is False} == {"product", "export"}
    with database.work(city.platform.actor("test")) as work:
        work.save(PRODUCTS, dataclasses.replace(product, revision=other.revision))
    with pytest.raises(NotAllowed):
        city.platform.walks.trace_entry(city.people["operator"], sold.report.entry)


def test_use_is_filtered_by_everything_and_seen_as_it_happens(sold: Sold) -> None:
    city, regulator = sold.city, sold.city.people["regulator"]
    views, today = city.platform.usage_views, sold.city.today
    whole = Wanted(today - dt.timedelta(days=1), today + dt.timedelta(days=1))
    assert sum(one.fact.uses for one in views.list_range(regulator, whole)) == 8
    only = dataclasses.replace(whole, product=sold.verification.id)
    assert sum(one.fact.uses for one in views.list_range(regulator, only)) == 3
    one = views.list_range(regulator, whole)[0]
    for field, value in (("consumer", one.fact.consumer), ("operator", one.operator), ("provider", one.provider)):
        assert len(views.list_range(regulator, dataclasses.replace(whole, **{field: value}))) > 0
        assert views.list_range(regulator, dataclasses.replace(whole, **{field: "org_nobody"})) == ()
    with pytest.raises(Invalid):
        views.list_range(regulator, Wanted(today, today))
    minutes = city.platform.live.list_minutes(regulator, 30)
    assert (len(minutes), sum(minute.total for minute in minutes)) == (30, 8)
    with pytest.raises(NotAllowed):
        city.platform.live.list_minutes(city.people["consumer"])


def test_quiet_use_raises_no_alert(sold: Sold) -> None:
    assert watch(sold) == []


def test_a_negative_flood_raises_one_alert_that_follows_its_figures(sold: Sold) -> None:
    sold.use(sold.verification, 60, answer=NO, key="key_flood")
    assert watch(sold) == [(AlertKind.NEGATIVES, sold.verification.id)]
    sold.use(sold.verification, 10, answer=NO, key="key_flood")
    assert watch(sold) == [(AlertKind.NEGATIVES, sold.verification.id)]
    [alert] = sold.city.platform.alerts.list_alerts(sold.city.people["regulator"])
    assert (alert.key, alert.figures) == ("key_flood", {"uses": 70, "negative": 70, "share": 1.0})


def test_sudden_volume_is_against_the_consumers_own_past(sold: Sold) -> None:
    for day in (1, 2, 3):
        sold.use(sold.report, 10, at=at_hour(sold, 12, day))
    sold.use(sold.report, 210)
    assert (AlertKind.VOLUME, sold.report.id) in watch(sold)
    alert = next(
        one for one in sold.city.platform.alerts.list_alerts(sold.city.people["regulator"])
        if one.kind is AlertKind.VOLUME
    )  # fmt: skip
    assert alert.figures["usual_a_day"] == 10.0
    assert alert.figures["uses"] >= 210


def test_a_night_scan_is_found_with_limits_that_the_regulator_set(sold: Sold) -> None:
    city, alerts = sold.city, sold.city.platform.alerts
    with pytest.raises(NotAllowed):
        alerts.set_rule(city.people["operator"], AlertKind.NIGHT, {"least_uses": 1}, "quieter")
    with pytest.raises(Invalid, match="no limit `loudness`"):
        alerts.set_rule(city.people["regulator"], AlertKind.NIGHT, {"loudness": 1}, "why not")
    with pytest.raises(Invalid, match="out of range"):
        alerts.set_rule(city.people["regulator"], AlertKind.NIGHT, {"share": 2}, "why not")
    scan = (AlertKind.NIGHT, sold.verification.id)
    assert scan not in watch(sold), "seventy uses are few, at whichever hour"
    night = (sold.city.platform.clock.now() + dt.timedelta(hours=8)).hour
    limits = {"from_hour": night, "to_hour": (night + 1) % 24, "least_uses": 1, "share": 0.5}
    rule = alerts.set_rule(city.people["regulator"], AlertKind.NIGHT, limits, "a quiet month")
    assert rule.values["least_uses"] == 1
    assert scan in watch(sold)


def test_an_alert_is_looked_at_and_closed_with_a_reason_once(sold: Sold) -> None:
    city, alerts = sold.city, sold.city.platform.alerts
    regulator = city.people["regulator"]
    alert = next(one for one in alerts.list_alerts(regulator) if one.kind is AlertKind.NIGHT)
    assert alerts.look(regulator, alert.id).state is AlertState.LOOKED_AT
    with pytest.raises(Invalid):
        alerts.close(regulator, alert.id, " ")
    assert alerts.close(regulator, alert.id, "a batch that was announced").state is AlertState.CLOSED
    with pytest.raises(TransitionNotAllowed):
        alerts.close(regulator, alert.id, "again")
    watch(sold)
    assert alerts.get_alert(regulator, alert.id).state is AlertState.CLOSED, "what was closed is not raised again"
    with pytest.raises(NotAllowed):
        alerts.list_alerts(city.people["consumer"])


def test_an_alert_leads_to_an_order_in_one_decision(sold: Sold) -> None:
    city, platform = sold.city, sold.city.platform
    regulator = city.people["regulator"]
    alert = next(one for one in platform.alerts.list_alerts(regulator) if one.kind is AlertKind.NEGATIVES)
    order = platform.alerts.act(regulator, alert.id, OrderKind.CONSUMER, "somebody walks through the register")
    assert (order.alert, order.kind, order.subject) == (alert.id, OrderKind.CONSUMER, alert.consumer)
    assert order.done_at is not None
    assert {hit.what for hit in order.hits} == {"done"}
    assert {hit.kind for hit in order.hits} == {"app", "key"}
    keys = platform.consumers.list_keys(city.people["consumer"])
    assert {key.state for key in keys} == {KeyState.SUSPENDED}
    found = platform.alerts.get_alert(regulator, alert.id)
    assert (found.state, found.order) == (AlertState.ACTED, order.id)
    with pytest.raises(TransitionNotAllowed):
        platform.alerts.act(regulator, alert.id, OrderKind.CONSUMER, "again")


@pytest.mark.parametrize("login", ["provider", "operator", "consumer", "auditor", "analyst"])
def test_only_supervisors_order(sold: Sold, login: str) -> None:
    city, orders = sold.city, sold.city.platform.orders
    with pytest.raises(NotAllowed):
        orders.place(city.people[login], OrderVerb.SUSPEND, OrderKind.PRODUCT, sold.report.id, "because")
    with pytest.raises(NotAllowed):
        orders.list_orders(city.people[login])


def test_a_recall_tells_each_buyer_and_keeps_the_receipt(sold: Sold) -> None:
    city, platform = sold.city, sold.city.platform
    regulator, consumer = city.people["regulator"], city.people["consumer"]
    with pytest.raises(Invalid, match="a key is not recalled"):
        platform.orders.place(regulator, OrderVerb.RECALL, OrderKind.KEY, "key_1", "because")
    with pytest.raises(NotFound):
        platform.orders.place(regulator, OrderVerb.RECALL, OrderKind.PRODUCT, "prd_nothing", "because")
    order = platform.orders.place(regulator, OrderVerb.RECALL, OrderKind.PRODUCT, sold.report.id, "figures were wrong")
    assert [(hit.id, hit.what) for hit in order.hits] == [(sold.report.id, "done")]
    assert platform.registry.get_product(regulator, sold.report.id).state is ProductState.SUSPENDED
    [notice] = platform.orders.list_notices(consumer)
    assert (notice.order, notice.products, notice.reason) == (order.id, (sold.report.id,), "figures were wrong")
    assert notice.uses >= 5
    assert platform.orders.list_notices(city.people["provider"]) == ()
    with pytest.raises(NotFound):
        platform.orders.receive(city.people["operator"], notice.id)
    with pytest.raises(NotAllowed):
        platform.orders.receive(regulator, notice.id)
    read = platform.orders.receive(consumer, notice.id)
    assert (read.received_by, platform.orders.receive(consumer, notice.id)) == (consumer.id, read)
    tags = [event.tag for event in platform.database.events_after(0, 100_000)]
    assert (tags.count("notice:send"), tags.count("notice:receive")) == (1, 1)
    with pytest.raises(NotAllowed, match="another organisation suspended it"):
        platform.registry.restore(city.people["operator"], sold.report.id, "we think otherwise")


def test_an_alarm_of_the_enumeration_defence_is_an_alert_too(sold: Sold) -> None:
    platform = sold.city.platform
    with platform.database.work(platform.actor("defence")) as work:
        work.emit(
            "alarm:raise", "alm_1", "a key reached its limit",
            data={"consumer": sold.city.people["consumer"].organisation, "product": sold.verification.id,
                  "key": "key_9", "day": sold.city.today.isoformat(), "limit": 500},
        )  # fmt: skip
    [event] = [one for one in platform.database.events_after(0, 100_000) if one.tag == "alarm:raise"]
    for handler in (*job_handlers(platform)["alarm:raise"], platform.alerts.follow_alarm):
        handler(event)
    [alert] = [
        one for one in platform.alerts.list_alerts(sold.city.people["regulator"]) if one.kind is AlertKind.ENUMERATION
    ]  # fmt: skip
    assert (alert.key, alert.figures) == ("key_9", {"limit": 500.0})


def test_an_authorization_goes_out_of_use_with_its_products(sold: Sold) -> None:
    platform, regulator = sold.city.platform, sold.city.people["regulator"]
    order = platform.orders.place(
        regulator, OrderVerb.SUSPEND, OrderKind.AUTHORIZATION, sold.report.authorization, "an inspection found much"
    )
    hits = {hit.id: hit.what for hit in order.hits}
    assert hits[sold.report.authorization] == "done"
    assert hits[sold.report.id] == "already"
    assert hits[sold.verification.id] == "done"


def test_the_api_shows_supervision_to_supervisors(sold: Sold) -> None:
    with TestClient(make_app(sold.city.platform), base_url="http://portal.localhost") as client:

        def headers(login: str) -> dict[str, str]:
            answer = client.post("/api/v1/session", json={"login": login, "password": PASSWORD})
            return {"Authorization": f"Bearer {answer.json()['token']}"}

        regulator, consumer = headers("regulator"), headers("consumer")
        today = sold.city.today.isoformat()
        end = (sold.city.today + dt.timedelta(days=1)).isoformat()
        for path in (
            "/alerts", "/alerts/rules", "/orders", "/notices", f"/oversight/entries/{sold.report.entry}/trace",
            "/oversight/live?minutes=5", f"/oversight/facts?first={today}&end={end}",
        ):  # fmt: skip
            assert client.get(f"/api/v1{path}", headers=regulator).status_code == 200, path
        for path in ("/alerts", "/orders", "/oversight/live", f"/oversight/entries/{sold.report.entry}/trace"):
            assert client.get(f"/api/v1{path}", headers=consumer).status_code == 403, path
        assert len(client.get("/api/v1/notices", headers=consumer).json()) == 1
