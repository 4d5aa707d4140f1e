"""What is held looks held everywhere; an authorization is left, and proved to be, by its pages alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from shuzha.core.actor import platform_actor
from shuzha.core.outbox import Follower
from shuzha.exits.certificate import verify_bundle
from shuzha.exits.model import ExitState
from shuzha.ledger.reader import LogReader
from shuzha.server.portal_app import make_app
from shuzha.server.subscriptions import cache_handlers, job_handlers, register_jobs, suspension_handlers
from tests.portal_kit import PASSWORD, PortalCity
from tests.unit.portal.conftest import post

Enter = Callable[..., TestClient]


def deliver(city: PortalCity) -> None:
    """Let the worker's subscribers hear everything that is new."""
    register_jobs(city.platform)
    handlers = {
        "cache": cache_handlers(city.platform.policies), "suspension": suspension_handlers(city.platform),
        "jobs": job_handlers(city.platform),
    }  # fmt: skip
    for name, found in handlers.items():
        follower = Follower(city.platform.database, found, durable_name=name)
        while follower.step():
            pass


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> PortalCity:
    """An entry, an authorization in force and one grant of it."""
    city = PortalCity(tmp_path_factory.mktemp("leaving"))
    entry = city.entry()
    authorization = city.authorize(entry)
    demand = city.demand(authorization, entry, "贷前核验")
    city.made |= {"entry": entry.id, "authorization": authorization.id, "demand": demand.id, "grant": demand.grant}
    deliver(city)
    return city


@pytest.fixture
def enter(city: PortalCity) -> Iterator[Enter]:
    app, opened = make_app(city.platform), []

    def enter(login: str, language: str = "en") -> TestClient:
        client = TestClient(
            app, base_url="http://portal.localhost", headers={"Accept": "text/html"}, follow_redirects=False
        )
        client.cookies.set("shuzha_language", language)
        if login:
            answer = client.post("/sign-in", data={"login": login, "password": PASSWORD, "next": "/"})
            assert answer.status_code == 303
        opened.append(client)
        return client

    yield enter
    for client in opened:
        client.close()


def order(city: PortalCity, tag: str, reason: str) -> None:
    """Let a rectification's event be heard, as oversight emits it."""
    with city.platform.database.work(platform_actor("oversight")) as work:
        work.emit(tag, "rct_1", reason, data={"authorization": city.made["authorization"], "reason": reason})
    deliver(city)


def test_a_held_authorization_looks_held_to_everybody(city: PortalCity, enter: Enter) -> None:
    one = f"/authorizations/{city.made['authorization']}"
    public = ("/public", "/public/authorizations", f"/public{one}")
    shown = '<span class="tag bad">held</span>'
    assert all(shown not in enter("").get(path).text for path in public)
    order(city, "rectification:order", "logs were incomplete")
    for login, paths in (("operator", ("/authorizations", one)), ("authority", ("/authorizations", one, "/oversight")),
                         ("provider", (one,)), ("regulator", ("/authorizations", one)), ("", public)):  # fmt: skip
        client = enter(login)
        for path in paths:
            assert shown in client.get(path).text, (login, path)
    page = enter("operator").get(one).text
    assert "A rectification was ordered" in page
    assert "logs were incomplete" in page
    assert "The rectification is accepted" in page
    assert (
        f"/holds/{city.platform.rights.list_holds(city.people['operator'], city.made['authorization'])[0].id}"
        not in page
    )
    home = enter("operator").get("/tasks").text
    assert "Read why the authorization is held" in home
    assert one in home
    order(city, "rectification:pass", "mended")
    assert shown not in enter("operator").get(one).text
    assert "Read why the authorization is held" not in enter("operator").get("/tasks").text


def test_only_the_authority_lifts_a_hold_and_says_why(city: PortalCity, enter: Enter) -> None:
    one = f"/authorizations/{city.made['authorization']}"
    order(city, "rectification:order", "once more")
    (hold,) = city.platform.rights.list_holds(city.people["authority"], city.made["authorization"])
    path = f"{one}/holds/{hold.id}/lift"
    assert post(enter("operator"), path, reason="I want it").status_code == 403
    authority = enter("authority")
    assert path in authority.get(one).text
    assert post(authority, path, reason=" ").status_code == 422
    assert post(authority, path, reason="ordered by mistake").status_code == 303
    assert 'id="holds"' not in authority.get(one).text


def test_a_grant_whose_entry_is_suspended_is_shown_as_held_beside_its_demand(city: PortalCity, enter: Enter) -> None:
    one, entry = f"/authorizations/{city.made['authorization']}", city.made["entry"]
    city.platform.catalog.suspend_entry(city.people["authority"], entry, "the source is unreliable")
    deliver(city)
    page = enter("operator").get(one).text
    assert "The entry was suspended" in page
    assert "The entry is restored" in page
    assert f'href="/demands/{city.made["demand"]}"' in page
    assert city.people["authority"].name in page
    assert '<span class="tag good">active</span></h1>' in page, "the authorization itself is in force"
    city.platform.catalog.restore_entry(city.people["authority"], entry, "reliable again")
    deliver(city)
    assert 'id="holds"' not in enter("operator").get(one).text


def test_an_announcement_whose_window_is_over_is_closed_and_takes_nothing(city: PortalCity, enter: Enter) -> None:
    announced = city.announced(0)
    path = f"/announcements/{announced.id}"
    operator = enter("operator")
    assert "Apply for an authorization" in operator.get(path).text
    fields = {
        "title": "late", "legal_representative": "郑泉", "responsible_person": "郑航", "training_proof": "2026-1",
        "valid_from": city.today, "valid_until": city.today, "purposes": "loan-review", "calculation": "calls",
        "rights_and_duties": "serve", "security": "sandbox", "exit": "destroy", "asset_disposal": "delist",
        "entries": [city.made["entry"]], "operations": ["view"], "output_kinds": ["verification"],
        "infrastructure": 10, "provider": 30, "platform": 20, "operator": 50,
    }  # fmt: skip
    city.advance(announced.content.closes)
    page = operator.get(path).text
    assert '<span class="tag ">closed</span></h1>' in page
    assert "no application is taken any more" in page
    assert 'action="/announcements/' not in page.split("<main")[1], "no form is left"
    before = city.platform.authorization.list_authorizations(city.people["operator"])
    answer = post(operator, f"{path}/applications", **fields)
    assert answer.status_code == 403
    assert "is not open to applications now" in answer.text.partition('role="alert"')[2].partition("</div>")[0]
    assert city.platform.authorization.list_authorizations(city.people["operator"]) == before
    for login, place in (("operator", "/announcements"), ("", "/public/authorizations")):
        listed = enter(login).get(place).text
        assert ">closed</span>" in listed
        assert "open now" not in listed


def test_an_authorization_is_left_by_its_pages_alone(city: PortalCity, enter: Enter) -> None:
    exits, one = city.platform.exits, f"/authorizations/{city.made['authorization']}"
    operator, authority = enter("operator"), enter("authority")
    assert "No authorization has ended yet" in operator.get("/exits").text
    assert post(operator, f"{one}/withdraw", reason="the market is too small").status_code == 303
    deliver(city)
    exits.carry_on()
    (found,) = exits.list_exits(city.people["operator"])
    page = f"/exits/{found.id}"
    assert page in operator.get(one).text
    assert page in operator.get("/exits").text
    assert "State the hand-over of the exit" in operator.get("/tasks").text
    assert "until its day has passed" in authority.get(page).text
    said = {"products": "delisted", "customers": "none", "assets": "none"}
    assert post(authority, f"{page}/hand-over", **said).status_code == 403
    refused = post(operator, f"{page}/hand-over", **{**said, "customers": ""})
    assert refused.status_code == 422
    assert ">delisted</textarea>" in refused.text, "what was written is kept"
    assert post(operator, f"{page}/hand-over", **said).status_code == 303
    exits.carry_on()
    city.advance((city.today.replace(day=1) + dt.timedelta(days=31)).replace(day=1))
    exits.carry_on()
    assert exits.get_exit(city.people["operator"], found.id).state is ExitState.SETTLED
    assert operator.get(f"{page}/certificate").status_code == 409
    assert "Sign the certificate and close" not in operator.get(page).text
    assert post(operator, f"{page}/close", reason="me").status_code == 403
    assert "certificate" in authority.get("/tasks").text
    assert post(authority, f"{page}/close", reason="everything is gone").status_code == 303
    city.audit()
    shown = operator.get(page).text
    assert f"--platform-key {exits.public_key.hex()}" in shown
    content = operator.get(f"{page}/certificate")
    assert content.headers["content-type"] == "application/json"
    reader = LogReader(city.platform.settings.folder("logs") / "audit")
    key = reader.key.line()
    reader.close()
    assert verify_bundle(content.content, log_key=key, platform_key=exits.public_key.hex()) == ()
    assert enter("consumer").get(page).status_code == 404
    for login in ("operator", "authority", "provider", "regulator"):
        for language in ("en", "zh_Hans"):
            assert enter(login, language).get(page).status_code == 200
