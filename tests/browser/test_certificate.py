"""The certificate in a real Chromium: on a release's page, as a file of its own, on a phone, and on paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.kit import PHONE, SCREENSHOTS
from tests.portal_kit import PASSWORD, PortalCity

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("language", "level"), [("zh-CN", "去标识化等级"), ("en", "GB/T 42460")])
def test_a_release_shows_its_certificate(visit, city: PortalCity, language: str, level: str) -> None:
    with visit(language=language) as person:
        person.sign_in("analyst", PASSWORD)
        page = person.go(f"/releases/{city.made['release']}")
        expect(page.locator(".seal")).to_contain_text(level)
        expect(page.locator("svg.chart")).to_have_count(2)
        for chart in page.locator("svg.chart").all():
            assert chart.get_attribute("aria-label")
            assert chart.bounding_box()["height"] > 150
        person.picture(f"certificate-portal-{language}")
        assert person.violations() == []


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_page_of_its_own_needs_nothing_else(visit, city: PortalCity, tmp_path: Path, language: str) -> None:
    with visit(language=language) as person:
        person.sign_in("analyst", PASSWORD)
        page = person.go(f"/releases/{city.made['release']}")
        page.locator("aside a[href$='.html']").wait_for()
        with page.expect_download() as kept:
            page.locator("aside a[href$='.html']").click()
        file = tmp_path / "certificate.html"
        kept.value.save_as(file)
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.goto(file.as_uri())
        expect(page.locator("svg.chart")).to_have_count(2)
        person.picture(f"certificate-file-{language}")
        assert asked == [file.as_uri()]
        assert said == []
        assert person.violations() == []
        if language == "zh-CN":
            page.pdf(path=str(SCREENSHOTS / "certificate-print.pdf"), prefer_css_page_size=True)
            page.emulate_media(media="print")
            person.picture("certificate-print")
            expect(page.locator(".seal")).to_be_visible()
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_certificate_page_is_not_wider_than_a_phone(visit, city: PortalCity) -> None:
    with visit(size=PHONE) as person:
        person.sign_in("analyst", PASSWORD)
        page = person.go(f"/releases/{city.made['release']}")
        person.picture("certificate-phone")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert person.violations() == []
