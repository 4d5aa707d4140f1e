"""An authorization is held and left in a real Chromium, by pages alone; its pages fit a phone and pass axe."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import expect

from tests.browser.kit import PHONE, Visit, press
from tests.portal_kit import PASSWORD, PortalCity
from tests.ports_kit import free_port
from tests.unit.portal.test_leaving import deliver, order

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> PortalCity:
    city = PortalCity(tmp_path_factory.mktemp("leaving"), free_port())
    entry = city.entry()
    city.made |= {"entry": entry.id, "authorization": city.authorize(entry).id}
    deliver(city)
    return city


def look(person: Visit, name: str) -> None:
    """Keep a picture of the page; fail where axe finds something."""
    person.picture(name)
    assert person.violations() == [], name


def test_an_authorization_is_held_and_left_by_pages(visit, city: PortalCity) -> None:
    one = f"/authorizations/{city.made['authorization']}"
    order(city, "rectification:order", "日志不全，责令整改")
    with visit() as operator, visit(language="en") as authority:
        operator.sign_in("operator", PASSWORD)
        authority.sign_in("authority", PASSWORD)
        expect(operator.go(one).locator("h1 .tag")).to_have_text("已挂起")
        look(operator, "leaving-held")
        page = authority.go(one)
        authority.decide("Lift the hold", "the logs were delivered")
        expect(page.locator("h1 .tag")).to_have_text("active")
        operator.go(one)
        operator.decide("撤回", "业务调整，主动退出")
        deliver(city)
        city.platform.exits.carry_on()
        page = operator.go(one)
        press(page.get_by_role("link", name="授权退出的进度与证明"))
        look(operator, "leaving-frozen")
        for label, text in (("产品如何处置", "无"), ("如何告知客户", "无"), ("运营单位自有资产如何处置", "无")):
            page.get_by_label(label).fill(text)
        press(page.get_by_role("button", name="填报移交情况"))
        city.platform.exits.carry_on()
        city.advance((city.today.replace(day=1) + dt.timedelta(days=31)).replace(day=1))
        city.platform.exits.carry_on()
        page = authority.go("/tasks")
        press(page.get_by_role("link", name="Sign the exit's certificate"))
        authority.decide("Sign the certificate and close", "everything was seen to be gone")
        expect(page.locator("h1 .tag")).to_have_text("closed")
        look(authority, "leaving-closed")
        city.audit()
        with page.expect_download() as taken:
            page.get_by_role("link", name="Download the certificate with its proofs").click()
        assert taken.value.suggested_filename.endswith(".certificate.json")
        paths = (one, page.url.removeprefix(authority.base).split("?")[0], "/exits", "/people",
                 f"/people/{city.people['analyst'].id}")  # fmt: skip
    with visit(size=PHONE) as phone:
        phone.sign_in("operator", PASSWORD)
        for number, path in enumerate(paths):
            page = phone.go(path)
            look(phone, f"phone-leaving-{number}")
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
