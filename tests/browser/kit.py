"""A real Chromium at a real portal: start both, sign in as a person, ask axe, keep a picture."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Browser, Locator, Page, Playwright

ROOT = Path(__file__).parents[2]
AXE = ROOT / "shuzha/portal/static/vendor/axe.min.js"
SCREENSHOTS = Path(os.environ.get("SHUZHA_SCREENSHOTS", ROOT / "var/screenshots"))
RULES = ("wcag2a", "wcag2aa", "wcag21aa", "wcag22aa")
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def serving(app: Any, port: int) -> Iterator[None]:
    """Serve an ASGI app on the loopback while the block runs."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the portal ended while it started"
        assert time.monotonic() < deadline, "the portal did not start"
        time.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


def launch(playwright: Playwright) -> Browser:
    """Start the system's Chromium, which reaches nothing but this machine."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))


def press(button: Locator) -> None:
    """Press a button that sends a form, and wait for the page that answers: a long upload is not cut off."""
    with button.page.expect_navigation():
        button.click()


@dataclass
class Visit:
    """One person's browser: a page, and the portal's address."""

    page: Page
    base: str

    def go(self, path: str) -> Page:
        """Open a page of the portal; fail where it answers with an error."""
        answer = self.page.goto(self.base + path)
        assert answer is not None, path
        assert answer.status < 400, (path, answer.status)
        return self.page

    def sign_in(self, login: str, password: str) -> Page:
        """Sign in as a person does: by labels and a button."""
        page = self.go("/sign-in")
        page.get_by_label("账户" if self.is_chinese() else "Account", exact=True).fill(login)
        page.get_by_label("密码" if self.is_chinese() else "Password", exact=True).fill(password)
        press(page.get_by_role("main").get_by_role("button", name="登录" if self.is_chinese() else "Sign in"))
        return page

    def is_chinese(self) -> bool:
        """Return whether the page speaks Chinese."""
        return str(self.page.locator("html").get_attribute("lang")).startswith("zh")

    def decide(self, label: str, reason: str = "") -> Page:
        """Press a verb's button as a person does: unfold it where it is folded, give the reason, press."""
        page = self.page
        folded = page.locator("details.folded", has=page.locator("summary", has_text=label)).first
        scope = (
            folded if folded.count() else page.locator("form.verb", has=page.get_by_role("button", name=label)).first
        )
        if folded.count() and folded.get_attribute("open") is None:
            folded.locator("summary").click()
        if reason:
            scope.locator("textarea[name=reason]").fill(reason)
        press(scope.get_by_role("button", name=label, exact=True))
        return page

    def violations(self) -> list[str]:
        """Return what axe-core finds against WCAG 2.2 AA, one line each with the first place."""
        # The portal's policy allows no inline script, so the tool is evaluated instead of added to the page.
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate(
            "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}}).then(r => r.violations)", list(RULES)
        )
        return [f"{one['id']}: {one['help']} at {one['nodes'][0]['target']}" for one in found]

    def picture(self, name: str, *, whole: bool = True) -> Path:
        """Keep a picture of the page and return its file."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=str(path), full_page=whole)
        return path


@contextmanager
def visiting(
    browser: Browser, base: str, *, language: str = "zh-CN", script: bool = True, size: dict[str, int] | None = None
) -> Iterator[Visit]:
    """Open a browser of one's own (cookies, language) while the block runs."""
    context = browser.new_context(
        locale=language, java_script_enabled=script, viewport=size or DESKTOP, reduced_motion="reduce"  # type: ignore[arg-type]
    )  # fmt: skip
    context.set_default_timeout(15_000)
    try:
        yield Visit(context.new_page(), base)
    finally:
        context.close()
