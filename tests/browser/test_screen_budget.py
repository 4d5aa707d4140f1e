"""The screen budget in a real JupyterLab: the analyst is warned in the page, stopped, and goes on when it is raised."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from workspace_kit import PASSWORD, RunningHub, running_hub, wait_until

from sandbox.workspaces.gate.meter import read_usage
from tests.browser.kit import DESKTOP, launch

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
    pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="there is no /usr/bin/chromium on this host"),
]

SECONDS = 60_000


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    yield from running_hub()


@pytest.fixture
def lab(hub: RunningHub) -> Iterator[tuple[Page, str]]:
    """JupyterLab of a new workspace in a browser whose person has signed in at the hub."""
    workspace = hub.open_workspace("acc_alice")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_context(locale="en-US", viewport=DESKTOP).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(SECONDS)
        page.goto(f"{hub.url}/hub/login")
        page.locator("#username_input").fill("acc_alice")
        page.locator("#password_input").fill(PASSWORD)
        page.locator("#login_submit").click()
        page.goto(f"{hub.path('acc_alice', workspace)}/lab")
        yield page, workspace
        browser.close()


def shown(hub: RunningHub, workspace: str) -> int:
    return sum(count.shown for _, _, _, count in read_usage(hub.settings.usage, workspace))


def test_analyst_is_warned_stopped_and_goes_on(hub: RunningHub, lab: tuple[Page, str]) -> None:
    page, workspace = lab
    expect(page.get_by_text("first-look.ipynb").first).to_be_visible(timeout=SECONDS)
    codes: list[int] = []
    page.on("response", lambda answer: codes.append(answer.status) if "/api/" in answer.url else None)
    wait_until(lambda: shown(hub, workspace) > 0, 10, "the first count")
    time.sleep(1)
    hub.controls.set_budget(workspace, int(shown(hub, workspace) * 1.15))
    expect(page.get_by_text("Nearly used up").first).to_be_visible(timeout=SECONDS)
    assert 429 not in codes, "it is a warning"
    hub.controls.set_budget(workspace, 1)
    expect(page.get_by_text("Used up: no more output").first).to_be_visible(timeout=SECONDS)
    wait_until(lambda: page.evaluate("1") and 429 in codes, 40, "a refused request of the page")
    again = page.context.new_page()
    stopped = again.goto(page.url)
    assert stopped is not None
    assert stopped.status == 429
    expect(again.get_by_role("heading", name="Screen budget used up")).to_be_visible()
    hub.controls.set_budget(workspace, 2**30)
    wait_until(lambda: (answer := again.goto(page.url)) is not None and answer.status == 200, 10, "the raised budget")
    expect(again.get_by_text("first-look.ipynb").first).to_be_visible(timeout=SECONDS)
