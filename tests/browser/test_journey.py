"""The human story: one dataset from its provider to a paid call, walked by nine people in nine browsers, page by page.

A provider lists a register and delivers it; the authority publishes it. An operating unit applies, is approved, signs;
it demands data for one scenario, the provider grants it, the release is built. An analyst opens the workspace, runs the
starter notebook in JupyterLab and asks for the export; two checkers look at the figures and agree. The unit registers
the product, the registry shows it in public and codes it. A bank makes a key and asks. The month ends; the regulator
sees usage beside money; the authority suspends, and everything stops.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from journey_kit import ENVIRONMENT, SMALL, settings_in, short_folder, wait_until
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from shuzha.core.clock import OffsetClock, city_date, end_of_day, start_of_day
from shuzha.server.demo.calls import Verifier
from shuzha.server.demo.cast import enrol, password_of
from shuzha.server.demo.city import City, pick_subjects
from shuzha.server.demo.client import Portal, Refused
from shuzha.server.demo.run import make_city
from shuzha.server.running import RunningPlatform
from tests.browser.kit import SCREENSHOTS, launch, press

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.timeout(400)]
REASON = "looked at, and it is as it should be"
SECONDS = 30_000


@dataclass
class Story:
    """A running platform without any history, and a browser for each of its people."""

    running: RunningPlatform
    city: City
    folder: Path
    password: str
    browser: Browser
    contexts: dict[str, BrowserContext] = field(default_factory=dict)

    def page(self, login: str) -> Page:
        """Return the page of this person's browser, signed in."""
        if login in self.contexts:
            return self.contexts[login].pages[0]
        context = self.browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
        context.set_default_timeout(SECONDS)
        self.contexts[login] = context
        page = context.new_page()
        page.goto(self.address("/sign-in"))
        page.get_by_label("Account", exact=True).fill(login)
        page.get_by_label("Password", exact=True).fill(self.password)
        press(page.get_by_role("main").get_by_role("button", name="Sign in"))
        return page

    def go(self, login: str, path: str) -> Page:
        """Open a page of the portal as this person."""
        page = self.page(login)
        page.goto(self.address(path))
        return page

    def address(self, path: str) -> str:
        return self.running.platform.settings.portal_url + path

    def advance_to(self, moment: dt.datetime) -> None:
        clock = self.running.platform.clock
        assert isinstance(clock, OffsetClock)
        clock.advance(max(moment - clock.now(), dt.timedelta(0)))

    def picture(self, login: str, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page(login).screenshot(path=str(SCREENSHOTS / f"journey-{name}.png"), full_page=True)


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    if shutil.which("bwrap") is None or not ENVIRONMENT.exists():
        pytest.skip("the journey's workspace needs bubblewrap and the sandbox environment")
    with short_folder() as folder, contextlib.ExitStack() as stack:
        city = make_city(folder, SMALL)
        running = RunningPlatform(settings_in(folder / "data"))
        stack.callback(lambda: shutil.rmtree(running.platform.settings.runtime, ignore_errors=True))
        stack.callback(running.stop)
        running.start()
        password = password_of(folder / "password")
        enrol(running.platform.people, Portal(running.platform.settings), password)
        playwright = stack.enter_context(sync_playwright())
        browser = launch(playwright)
        stack.callback(browser.close)
        yield Story(running, city, folder, password, browser)


def decide(page: Page, button: str, **fields: str) -> None:
    """Fill what a decision asks for and press its button; the page then says that it is done."""
    form = page.locator("form").filter(has=page.get_by_role("button", name=button, exact=True, include_hidden=True))
    folded = page.locator("details").filter(has=form)
    if folded.count() and not folded.first.evaluate("each => each.open"):
        folded.first.locator("summary").click()
    for name, text in fields.items():
        form.locator(f"[name={name}]").fill(text)
    if form.locator("[name=reason]").count():
        form.locator("[name=reason]").fill(REASON)
    press(form.get_by_role("button", name=button, exact=True))
    expect(page.get_by_role("alert")).to_have_count(0)


def reload_until(page: Page, text: str) -> None:
    """Load the page again until it shows this text."""

    def shown() -> bool:
        page.reload()
        return page.get_by_text(text).count() > 0

    wait_until(shown, 60, f"{text!r} on {page.url}")


def test_one_dataset_goes_from_its_provider_to_a_paid_call_by_pages_alone(story: Story) -> None:
    entry = list_and_publish(story)
    deliver(story, entry)
    authorization = authorize(story)
    demand = grant(story, authorization)
    build_release(story, demand)
    export = work_in_the_sandbox(story)
    review(story, export)
    product, code = register(story, export)
    secret = make_key(story, product)
    usage = call(story, secret, code)
    settle_and_oversee(story, usage)
    suspend(story, authorization, secret, code)


def list_and_publish(story: Story) -> str:
    sample = story.folder / "sample.csv"
    pl.scan_parquet(story.city.path("social_insurance")).head(500).collect().write_csv(sample)
    page = story.go("provider", "/entries")
    page.get_by_label("Code").fill("370100-HRSS-0001")
    page.get_by_label("Short name").fill("social_insurance")
    page.get_by_label("Title in Chinese").fill("社会保险缴费记录")
    page.get_by_label("Title in English").fill("Social insurance payments")
    page.get_by_label("Abstract").fill("Monthly payments by kind; synthetic.")
    page.get_by_label("Sample file").set_input_files(sample)
    press(page.get_by_role("button", name="Scan and draft the entry"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Social insurance payments")
    expect(page.get_by_text("CN_RESIDENT_ID").first).to_be_visible()
    page.get_by_label("Whom the rows are about").select_option("person")
    page.get_by_label("Entity key").select_option("resident_id")
    page.get_by_label("Class code").fill("306010001")
    page.get_by_label("Sharing: condition, or legal basis where none").fill("on application, for one's own duty")
    page.get_by_label("Opening: condition, or legal basis where none").fill("personal information")
    press(page.get_by_role("button", name="Save"))
    decide(page, "Submit for review")
    entry = page.url.split("?")[0].rsplit("/", 1)[1]
    story.picture("provider", "entry")
    authority = story.go("authority", "/tasks")
    authority.get_by_role("listitem").filter(has_text="Social insurance payments").get_by_role("link").click()
    decide(authority, "Publish")
    expect(authority.locator("h1 .tag")).to_have_text("published")
    return entry


def deliver(story: Story, entry: str) -> None:
    page = story.go("provider", f"/entries/{entry}")
    page.get_by_label("File", exact=False).last.set_input_files(story.city.path("social_insurance"))
    press(page.get_by_role("button", name="Replace all rows"))
    reload_until(page, "ingested")
    expect(page.get_by_text(f"{SMALL.insurance_rows:,}").first).to_be_visible()


def authorize(story: Story) -> str:
    announcement = announce(story)
    page = story.go("operator", f"/announcements/{announcement}")
    page.locator("#f-title").fill("Credit services")
    page.get_by_label("Legal representative").fill("郑泉")
    expect(page.get_by_label("Responsible person")).not_to_have_value("")
    page.get_by_label("Responsible person").fill("郑航")
    page.get_by_label("Proof of pre-job training").fill("certificate 2026-017")
    page.get_by_label("Social insurance payments").check()
    page.get_by_label("Review of a loan").check()
    for name in ("view", "aggregate", "verify", "verification", "report"):
        page.locator(f"input[value={name}]").check()
    for name in ("rights_and_duties", "security", "exit", "asset_disposal"):
        page.locator(f"#f-{name}").fill("as the model agreement says")
    press(page.get_by_role("button", name="Submit the application"))
    authorization = page.url.split("?")[0].rsplit("/", 1)[1]
    for kind in ("Sound operation", "Competence", "Operation plan, for the experts"):
        page.get_by_label("File", exact=False).last.set_input_files(
            {"name": "evidence.txt", "mimeType": "text/plain", "buffer": b"sound, able, and by plan"}
        )
        press(page.get_by_role("button", name=kind))
    authority = story.go("authority", f"/authorizations/{authorization}")
    for box in authority.locator("input[name=clear]").all():
        box.check()
    story.picture("authority", "facts")
    decide(authority, "Qualified: every fact looked up and clear")
    assess(story, authorization)
    authority = story.go("authority", f"/authorizations/{authorization}")
    decide(authority, "Close the review and report")
    story.picture("authority", "experts-report")
    decide(authority, "Approve", number="2026-12")
    decide(authority, "Make public")
    decide(story.go("operator", f"/authorizations/{authorization}"), "Sign the agreement")
    decide(story.go("authority", f"/authorizations/{authorization}"), "Countersign the agreement")
    expect(story.page("authority").locator("h1 .tag")).to_have_text("active")
    expect(story.page("authority").get_by_text("Filed as SQYY-")).to_be_visible()
    story.picture("authority", "authorization")
    return authorization


def announce(story: Story) -> str:
    page = story.go("authority", "/announcements")
    page.get_by_label("Title", exact=True).fill("Authorized operation of this year")
    page.get_by_label("Implementation plan").fill("plan 2026-1")
    page.get_by_label("Conditions").fill("a data security officer")
    page.get_by_label("Public notice before the signatures").fill("0")
    press(page.get_by_role("button", name="Draft the announcement"))
    decide(page, "Publish")
    expect(page.locator("h1 .tag")).to_have_text("published")
    return page.url.split("?")[0].rsplit("/", 1)[1]


def assess(story: Story, authorization: str) -> None:
    authority = story.go("authority", f"/authorizations/{authorization}")
    for box in authority.locator("input[name=experts]").all():
        box.check()
    decide(authority, "Appoint")
    for login in ("expert1", "expert2", "expert3"):
        page = story.go(login, "/assessments")
        page.get_by_role("main").get_by_role("link").first.click()
        decide(page, "I know of no conflict of interest")
        for points in page.locator("input[name=points]").all():
            points.fill("18")
        page.get_by_label("Comment").fill("a sound plan")
        story.picture(login, f"assessment-{login}")
        press(page.get_by_role("button", name="Give these points"))
        expect(page.locator("h1 .tag")).to_have_text("scored")
        expect(page.get_by_text("Quanshu")).to_have_count(0)


def grant(story: Story, authorization: str) -> str:
    page = story.go("operator", f"/authorizations/{authorization}")
    page.get_by_role("main").get_by_role("list").get_by_role("link", name="Social insurance payments").click()
    page.locator("#f-scenario").fill("Verify before a loan whether an applicant is insured")
    page.locator("#f-value").fill("fewer paper proofs")
    for name in ("resident_id", "name", "period", "kind", "paid", "district_code"):
        page.locator(f"input[name=columns][value={name}]").check()
    for name in ("view", "aggregate", "verify", "verification", "report"):
        page.locator(f"input[value={name}]").check()
    press(page.get_by_role("button", name="Draft the demand"))
    decide(page, "Submit")
    demand = page.url.split("?")[0].rsplit("/", 1)[1]
    decide(story.go("authority", f"/demands/{demand}"), "Checked: clear, implementable, of value")
    decide(story.go("provider", f"/demands/{demand}"), "Grant")
    expect(story.page("provider").locator("h1 .tag")).to_have_text("granted")
    return demand


def build_release(story: Story, demand: str) -> None:
    page = story.go("operator", f"/demands/{demand}")
    press(page.get_by_role("button", name="Request a release at the newest data"))
    table = page.get_by_role("table").filter(has_text="social_insurance")
    wait_until(lambda: page.reload() and table.get_by_text("ready").count(), 60, "the release")
    table.get_by_role("link", name="social_insurance").click()
    expect(page.get_by_text("pseudonymize").first).to_be_visible()
    story.picture("operator", "release")


def work_in_the_sandbox(story: Story) -> str:
    page = story.go("analyst", "/workspaces")
    press(page.get_by_role("button", name="Open", exact=True))
    reload_until(page, "Open JupyterLab")
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="Open JupyterLab").click(modifiers=["Control"])
    lab = opening.value
    lab.set_default_timeout(60_000)
    lab.get_by_text("insurance-coverage.ipynb").first.dblclick()
    expect(lab.get_by_role("heading", name="Insurance coverage").first).to_be_visible(timeout=SECONDS)
    lab.get_by_role("menuitem", name="Run", exact=True).click()
    lab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    # The table's preview shows districts only once a real kernel has computed it over the granted release.
    expect(lab.get_by_text("370102").first).to_be_visible(timeout=SECONDS)
    lab.screenshot(path=str(SCREENSHOTS / "journey-jupyterlab.png"))
    lab.keyboard.press("Control+s")
    lab.close()
    page.get_by_label("Context").fill("For loan review: coverage by district, and one claim.")
    press(page.get_by_role("button", name="Submit").last)
    expect(page.get_by_role("alert")).to_have_count(0)
    export = story.go("analyst", "/exports")
    export.get_by_role("link").filter(has_text="insurance-coverage").first.click()
    reload_until(export, "screened")
    return export.url.split("?")[0].rsplit("/", 1)[1]


def review(story: Story, export: str) -> None:
    for login in ("checker1", "checker2"):
        page = story.go(login, f"/exports/{export}")
        expect(page.get_by_text("insured_by_district").first).to_be_visible()
        if login == "checker1":
            story.picture(login, "export-review")
        page.get_by_label("Reason", exact=False).first.fill("every cell has ten people or more")
        press(page.get_by_role("button", name="Approve", exact=True))
        expect(page.get_by_role("alert")).to_have_count(0)
    reload_until(story.page("checker2"), "released")


def register(story: Story, export: str) -> tuple[str, str]:
    page = story.go("operator", f"/products/new?export={export}&file=insured")
    for label, text in (
        ("Title in Chinese", "参保核验"), ("Title in English", "Insured or not"), ("What it answers", "yes or no"),
        ("How often it is refreshed", "monthly"), ("Limits of use", "pension only"), ("Contact", "ops@op.example"),
    ):  # fmt: skip
        page.get_by_label(label).fill(text)
    press(page.get_by_role("button", name="Deposit the evidence"))
    product = page.url.split("?")[0].rsplit("/", 1)[1]
    decide(page, "Apply for registration")
    registry = story.go("registry", f"/products/{product}")
    decide(registry, "Accept the application")
    decide(registry, "Pass the formal review")
    decide(registry, "Put on public notice")
    found = story.running.platform.registry.list_notices()[0]
    assert found.notice_due is not None
    story.advance_to(end_of_day(found.notice_due))
    registry = story.go("registry", f"/products/{product}")
    decide(registry, "Give the code")
    decide(registry, "Put in force")
    page = story.go("operator", f"/products/{product}")
    decide(page, "Put on the price list", yuan="0.0375")
    start = page.get_by_role("button", name="Start the service")
    wait_until(lambda: page.reload() and start.is_enabled(), 60, "the index")
    decide(page, "Start the service")
    story.picture("operator", "product")
    code = story.running.platform.registry.get_product(story.running.platform.actor("test"), product).code
    assert code is not None
    return product, code


def make_key(story: Story, product: str) -> str:
    page = story.go("consumer", f"/products/{product}")
    page.get_by_label("Name").fill("loan desk")
    page.get_by_label("loan-review").check()
    press(page.get_by_role("button", name="Make the key"))
    secret = page.get_by_text("szk_").first.inner_text().strip()
    story.go("consumer", "/keys")
    assert secret not in story.page("consumer").content()
    return secret.split()[0]


def call(story: Story, secret: str, code: str) -> str:
    verifier = Verifier(story.running.platform.settings, secret, code)
    verifier.wait_served()
    for subject in pick_subjects(story.city, each=4).all():
        answer = verifier.verify(subject.resident_id, subject.name)
        assert answer.result == subject.expected, subject.why
    return answer.usage_id


def settle_and_oversee(story: Story, usage: str) -> None:
    expect(story.go("consumer", "/usage").get_by_text("16").first).to_be_visible()
    clock = story.running.platform.clock
    period = f"{city_date(clock.now()):%Y-%m}"
    first = (clock.now().date().replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    story.advance_to(start_of_day(first) + dt.timedelta(minutes=5))
    page = story.go("authority", "/statements")
    press(page.get_by_role("button", name="Settle").first)
    expect(page.get_by_role("alert")).to_have_count(0)
    press(page.get_by_role("button", name=f"Approve all of {period}").first)
    expect(page.get_by_role("alert")).to_have_count(0)
    bill = story.go("consumer", "/statements")
    # 16 calls at 0.0375 yuan are 0.60 yuan.
    expect(bill.get_by_text("¥0.60").first).to_be_visible()
    regulator = story.go("regulator", f"/oversight?period={period}")
    expect(regulator.get_by_text("¥0.60").first).to_be_visible()
    expect(regulator.get_by_text("shuzha/usage").first).to_be_visible()
    story.picture("regulator", "oversight")
    assert usage


def suspend(story: Story, authorization: str, secret: str, code: str) -> None:
    page = story.go("authority", f"/authorizations/{authorization}")
    decide(page, "Suspend")
    expect(page.locator("h1 .tag")).to_have_text("suspended")
    verifier = Verifier(story.running.platform.settings, secret, code)

    def refused() -> bool:
        try:
            verifier.verify("11010519491231002X", "某人")
        except Refused as error:
            return error.code == "authorization_suspended"
        return False

    wait_until(refused, 1.0, "the key's refusal")
    analyst = story.go("analyst", "/workspaces")
    expect(analyst.get_by_text("suspended").first).to_be_visible()
