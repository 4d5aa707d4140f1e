"""A synthetic release in a real Chromium: asked for by its form, shown with its certificate, on a phone, and by axe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import expect

from shuzha.server.portal_app import make_app
from tests.browser.kit import PHONE, Visit, serving
from tests.portal_kit import PASSWORD, PortalCity
from tests.ports_kit import free_port
from tests.synthetic_kit import FEWER, synthetic_city

pytestmark = pytest.mark.browser
Visiting = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> PortalCity:
    return synthetic_city(tmp_path_factory.mktemp("city"), free_port())


@pytest.fixture(scope="module")
def base(city: PortalCity) -> Iterator[str]:
    with serving(make_app(city.platform), city.port):
        yield city.platform.settings.portal_url


@pytest.mark.parametrize(("language", "said"), [("zh-CN", "行非真人"), ("en", "they are nobody's")])
def test_a_synthetic_release_shows_its_certificate(visit: Visiting, city: PortalCity, language: str, said: str) -> None:
    with visit(language=language) as person:
        person.sign_in("analyst", PASSWORD)
        page = person.go(f"/releases/{city.made['synthetic']}")
        expect(page.locator(".seal")).to_contain_text(said)
        person.picture(f"synthetic-{language}")
        assert person.violations() == []
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_synthetic_release_is_asked_for_by_its_form(visit: Visiting, city: PortalCity) -> None:
    with visit(language="en") as person:
        person.sign_in("analyst", PASSWORD)
        page = person.go(f"/demands/{city.made['demand']}")
        page.get_by_text("Request a synthetic release instead").click()
        page.get_by_label("Epsilon").fill("9")
        person.picture("synthetic-form")
        assert person.violations() == []
        page.get_by_role("button", name="Request a synthetic release").click()
        expect(page.get_by_role("alert")).to_contain_text("nobody said which values `period` may hold")
        expect(page.get_by_label("Epsilon")).to_have_value("9")
        page.get_by_label("Epsilon").fill("0.5")
        page.get_by_label("Columns to leave out").fill("base")
        page.get_by_label("Values of columns").fill(FEWER)
        page.get_by_role("button", name="Request a synthetic release").click()
        expect(page.get_by_role("status")).to_be_visible()
        expect(page.get_by_text("building")).to_have_count(1)


def test_without_a_budget_the_form_is_shut_and_says_why(visit: Visiting, city: PortalCity) -> None:
    with visit(language="zh-CN") as person:
        person.sign_in("analyst", PASSWORD)
        page = person.go(f"/demands/{city.made['baredemand']}")
        page.get_by_text("改为申请合成数据").click()
        expect(page.get_by_text("没有带 δ 的隐私预算")).to_be_visible()
        expect(page.get_by_role("button", name="申请合成数据")).to_be_disabled()
        assert person.violations() == []
