"""The portal in a real Chromium: by label and role, by keyboard, without scripts, on a phone, and by axe."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.kit import PHONE, press
from tests.portal_kit import PASSWORD, PortalCity
from tests.portal_pages import PUBLIC, pages_of

pytestmark = pytest.mark.browser
LOGINS = (
    "provider", "authority", "operator", "analyst", "checker1", "checker2", "registry", "consumer", "regulator",
    "auditor", "admin", "expert1", "expert2",
)  # fmt: skip
FIRST = frozenset({"provider", "authority", "operator", "checker1", "consumer"})
"""Whose pages between them are of nearly every kind; the others' are looked at with `--full`."""


@pytest.mark.parametrize(
    "login", [one if one in FIRST else pytest.param(one, marks=pytest.mark.slow) for one in LOGINS]
)
def test_no_page_of_a_person_violates_wcag(visit, city: PortalCity, login: str) -> None:
    found = {}
    with visit() as person:
        person.sign_in(login, PASSWORD)
        for number, path in enumerate(pages_of(city)[login]):
            person.go(path)
            found[path] = person.violations()
            person.picture(f"{login}-{number:02d}")
    assert {path: said for path, said in found.items() if said} == {}


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_no_public_page_violates_wcag(visit, language: str) -> None:
    with visit(language=language) as visitor:
        for path in PUBLIC:
            visitor.go(path)
            assert visitor.violations() == [], path
            visitor.picture(f"public{path.replace('/', '-')}-{language}")


def test_a_person_signs_in_by_label_and_is_told_when_it_fails(visit) -> None:
    with visit(language="en") as person:
        page = person.sign_in("provider", "not the password")
        expect(page.get_by_role("alert")).to_contain_text("This was not done")
        person.sign_in("provider", PASSWORD)
        expect(page.get_by_role("heading", name="My tasks")).to_be_visible()
        press(page.get_by_role("button", name="中文"))
        expect(page.get_by_role("heading", name="我的待办", exact=True)).to_be_visible()
        press(page.get_by_role("button", name="退出登录"))
        expect(page.get_by_role("button", name="登录")).to_be_visible()


def test_a_refused_form_leads_to_its_field_and_keeps_what_was_typed(visit) -> None:
    with visit(language="en") as person:
        person.sign_in("authority", PASSWORD)
        page = person.go("/announcements")
        expect(page.locator("#f-provider")).to_be_hidden()
        page.locator("#f-mode").select_option("field")
        expect(page.locator("#f-provider")).to_be_visible()
        for name in ("title", "plan", "conditions"):
            page.locator(f"#f-{name}").fill(f"kept {name}")
        page.locator("#f-field").fill("health")
        page.locator("#f-criteria").fill("security: 60")
        page.locator("#f-provider").select_option(index=1)
        press(page.get_by_role("button", name="Draft the announcement"))
        expect(page.get_by_role("alert")).to_be_focused()
        expect(page.locator("#f-plan")).to_have_value("kept plan")
        expect(page.locator("#f-field")).to_have_value("health")
        assert person.violations() == []
        press(page.get_by_role("alert").get_by_role("link", name="Criteria"))
        expect(page.locator("#f-criteria")).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#e-criteria-0")).to_contain_text("sum to 60 points")


def test_everything_can_be_reached_by_keyboard(visit, city: PortalCity) -> None:
    with visit(language="en") as person:
        person.sign_in("checker1", PASSWORD)
        page = person.go(f"/exports/{city.made['export.screened']}")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("(document.activeElement.innerText || document.activeElement.id).trim()"))
        for name in ("f-vote-reason", "Approve", "Ask for changes", "Reject", "Download"):
            assert name in reached, (name, reached)


def test_a_reviewer_goes_through_outputs_by_keys_and_holds_one_back(visit, city: PortalCity) -> None:
    workspace = city.platform.workspaces.get_workspace(city.people["analyst"], city.made["workspace"])
    made = city.export(workspace, title="two outputs", upto="screen")
    with visit(language="en") as person:
        person.sign_in("checker1", PASSWORD)
        page = person.go(f"/exports/{made.id}")
        shown = page.locator("[data-review] a[aria-current]")
        first = shown.inner_text()
        page.keyboard.press("j")
        expect(shown).not_to_have_text(first)
        page.keyboard.press("k")
        expect(shown).to_have_text(first)
        page.get_by_text("Write a comment").click()
        page.get_by_role("textbox", name="Comment").fill("j k v are letters here")
        page.get_by_role("checkbox", name="Between reviewers").check()
        press(page.get_by_role("button", name="Send the comment"))
        expect(page.get_by_text("j k v are letters here")).to_be_visible()
        expect(page.get_by_text("between reviewers", exact=True)).to_be_visible()
        page.get_by_text("Withhold some of the outputs").first.click()
        person.picture("checker1-withholding")
        assert person.violations() == []
        page.locator("input[name=withhold]").first.check()
        page.get_by_role("textbox", name="Why these are held back").fill("not asked for by the demand")
        page.keyboard.press("Escape")
        page.get_by_role("heading", name="My review").click()
        page.keyboard.press("v")
        page.keyboard.type("the rest is sound")
        press(page.get_by_role("button", name="Approve", exact=True))
        expect(page.get_by_text("withholds", exact=False)).to_contain_text("not asked for by the demand")


def test_a_decision_is_made_without_scripts(visit, city: PortalCity) -> None:
    with visit(language="en", script=False) as person:
        person.sign_in("authority", PASSWORD)
        page = person.go(f"/demands/{city.made['demand.submitted']}")
        person.decide("Checked: clear, implementable, of value", "clear and of value")
        expect(page.get_by_role("status")).to_contain_text("Done")
        assert "checked" in page.locator("h1 .tag").inner_text()
        person.go(f"/exports/{city.made['export.differs']}")
        person.decide("Return without waiting for votes", "see the two reasons")
        assert "returned" in page.locator("h1 .tag").inner_text()


@pytest.mark.parametrize(("login", "path"), [
    ("authority", "/tasks"), ("authority", "/exports?show=rules"),
    ("checker1", "/exports/{export.screened}"), ("consumer", "/products/{product}"),
    ("regulator", "/oversight"), ("operator", "/statements/{statement.authorization}"),
    ("provider", "/entries/{entry}"), ("analyst", "/policies?grant={grant}&permission=data:open&operation=train"),
])  # fmt: skip
def test_no_page_is_wider_than_a_phone(visit, city: PortalCity, login: str, path: str) -> None:
    for name, identifier in city.made.items():
        path = path.replace(f"{{{name}}}", identifier)
    with visit(size=PHONE) as person:
        person.sign_in(login, PASSWORD)
        page = person.go(path)
        person.picture(f"phone-{login}")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        # Columns beside each other fit too, and nobody can read a column of one letter.
        shown = "all => all.map(one => one.getBoundingClientRect().width).filter(width => width > 0)"
        assert min(page.locator("main section").evaluate_all(shown), default=PHONE["width"]) > PHONE["width"] / 2
        assert person.violations() == []


def test_a_page_asks_its_own_host_only_and_breaks_no_policy(visit, city: PortalCity, base: str) -> None:
    with visit() as person:
        asked: list[str] = []
        said: list[str] = []
        person.page.on("request", lambda request: asked.append(urlsplit(request.url).netloc))
        person.page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        person.sign_in("regulator", PASSWORD)
        person.go("/oversight")
        person.go(f"/usage?period={city.made['month']}")
        assert set(asked) == {urlsplit(base).netloc}
        assert said == []


def test_a_page_of_something_under_way_follows_it_by_itself(visit, city: PortalCity) -> None:
    workspace = city.platform.workspaces.get_workspace(city.people["analyst"], city.made["workspace"])
    made = city.export(workspace, title="under way", upto="submit")
    with visit(language="en") as person:
        person.sign_in("analyst", PASSWORD)
        page = person.go(f"/exports/{made.id}")
        expect(page.get_by_text("The platform is at work")).to_be_visible()
        assert person.violations() == []
        city.platform.airlock.process(made.id)
        expect(page.locator("h1 .tag")).to_have_text("screened", timeout=10_000)
        expect(page.get_by_text("The platform is at work")).to_have_count(0)
