"""JupyterLab in a real Chromium through the gate: an analyst signs in, works, reads the panel, downloads nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from journey_kit import Walked
from playwright.sync_api import BrowserContext, Locator, Page, expect, sync_playwright

from tests.browser.kit import SCREENSHOTS, launch, press

pytestmark = [
    pytest.mark.browser,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]
SECONDS = 30_000
expect.set_options(timeout=20_000)
SIZE = {"width": 1440, "height": 900}

ACCEPTED = ("Failed to load resource", "there is no such notebook or folder, or it cannot be shown")
"""How console errors begin that refused tries leave: the browser's word, and the gate's. Work itself leaves none."""

WAYS_OUT = {
    "file": "/files/first-look.ipynb",
    "file as a download": "/files/first-look.ipynb?download=1",
    "view": "/view/first-look.ipynb",
    "export": "/nbconvert/html/first-look.ipynb?download=true",
    "export as code": "/nbconvert/script/first-look.ipynb?download=true",
    "contents as a file": "/api/contents/first-look.ipynb?content=1&type=file&format=base64",
    "contents as text": "/api/contents/first-look.ipynb?content=1&format=text",
    "another file": "/api/contents/secret.csv?content=1",
    "another file as bytes": "/api/contents/secret.csv?content=1&type=file&format=base64",
    "a hidden file": "/api/contents/.ssh/id_rsa",
    "a checkpoint": "/api/contents/first-look.ipynb/checkpoints/checkpoint",
    "outside the folder": "/api/contents/..%2f..%2fdata",
    "terminals": "/api/terminals",
    "a terminal": "/terminals/websocket/1",
    "language servers": "/lsp/status",
    "a kernel's file": "/kernelspecs/python3/kernel.json",
    "style of one's own": "/custom/custom.css",
    "metrics": "/metrics",
}
"""Each way out that a page of JupyterLab has: the paths of routes that would hand out bytes beside notebooks."""


FETCH = """async path => {
    const token = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/);
    const answer = await fetch(path, {headers: token ? {'X-XSRFToken': token[1]} : {}});
    return [answer.status, (await answer.text()).slice(0, 20000)];
}"""


@dataclass
class Lab:
    """An open JupyterLab, and what went wrong in it: refused requests, errors of the page, downloads that began."""

    page: Page
    base: str
    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)

    @property
    def panel(self) -> Locator:
        return self.page.get_by_role("region", name="工作区", exact=True)

    def part(self, name: str) -> Locator:
        return self.panel.locator(f"[data-part={name}]")

    def open_notebook(self, name: str) -> None:
        self.page.get_by_role("listitem").get_by_text(name).first.dblclick()
        expect(self.page.get_by_role("tab", name=name)).to_be_visible()

    def run_all(self) -> None:
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    @property
    def notebook(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def run_cell(self, code: str) -> Locator:
        """Write code into the last cell of the open notebook, run it, and return that cell's outputs."""
        if self.notebook.count() == 0:
            self.open_notebook("first-look.ipynb")
        cell = self.notebook.locator(".jp-CodeCell").last
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Control+Enter")
        return cell.locator(".jp-OutputArea-output")

    def menu(self) -> list[str]:
        """Return the words of the open menu, and close it."""
        expect(self.page.locator(".lm-Menu").first).to_be_visible()
        words = [word for word in self.page.locator(".lm-Menu-itemLabel:visible").all_inner_texts() if word]
        self.page.keyboard.press("Escape")
        return words

    def fetch(self, path: str) -> tuple[int, str]:
        """Ask as JupyterLab's own scripts do, cookies, token and all; return the status and how the answer begins."""
        found = self.page.evaluate(FETCH, self.base + path)
        return int(found[0]), str(found[1])


@pytest.fixture(scope="module")
def chinese(walked: Walked) -> Iterator[BrowserContext]:
    """The analyst's browser, which speaks Chinese, signed in at the portal."""
    walked.workspace()
    with sync_playwright() as playwright:
        browser = launch(playwright)
        context = browser.new_context(locale="zh-CN", viewport=SIZE, accept_downloads=True)  # type: ignore[arg-type]
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        page.goto(f"{walked.settings.portal_url}/sign-in")
        page.get_by_label("账户", exact=True).fill("analyst")
        page.get_by_label("密码", exact=True).fill(walked.password)
        press(page.get_by_role("main").get_by_role("button", name="登录"))
        yield context
        browser.close()


@pytest.fixture(scope="module")
def lab(chinese: BrowserContext, walked: Walked) -> Lab:
    """JupyterLab, opened by the link of the workspace's page."""
    portal = chinese.pages[0]
    portal.goto(f"{walked.settings.portal_url}/workspaces/{walked.made['workspace']}")
    with chinese.expect_page() as opening:
        portal.get_by_role("link", name="打开 JupyterLab").click(modifiers=["Control"])
    page = opening.value
    found = Lab(page, walked.settings.sandbox_url + walked.made["server"])
    page.on("console", lambda said: found.errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("download", lambda download: found.downloads.append(download.url))
    page.on("response", lambda answer: found.refused.append(answer.url) if answer.status >= 400 else None)
    expect(found.part("term")).to_be_visible()
    return found


def test_starter_notebook_runs_and_shows_what_is_granted(lab: Lab) -> None:
    lab.open_notebook("first-look.ipynb")
    lab.run_all()
    outputs = lab.page.locator(".jp-OutputArea-output")
    expect(outputs.get_by_text("脱敏处理 what was done")).to_be_visible(timeout=SECONDS)
    expect(outputs.get_by_text("替换为带密钥的假名").first).to_be_visible()
    expect(outputs.get_by_text("social_insurance 2").first).to_be_visible()


def test_panel_shows_the_figures_of_the_records(lab: Lab, walked: Walked) -> None:
    analyst = walked.person("analyst")
    workspace = analyst.get(f"/workspaces/{walked.made['workspace']}")
    expect(lab.panel.get_by_role("heading", level=2)).to_have_text(workspace["scenario"])
    expect(lab.part("term")).to_contain_text(f"至 {workspace['valid_until'][:10]}")
    status = json.loads(lab.fetch("/shuzha/status")[1])
    assert status["days_left"] > 0
    expect(lab.part("term")).to_contain_text(f"{status['days_left']} 天")
    assert 100_000 < status["screen"]["shown"] < status["screen"]["budget"] == 64 * 1024**2
    expect(lab.part("screen")).to_contain_text("共 64 MiB")
    lab.panel.get_by_role("button", name="刷新").click()
    expect(lab.part("compute")).to_contain_text(re.compile(r"处理器时间\s*\d+ s"))
    expect(lab.part("compute")).to_contain_text(re.compile(r"内存\s*[\d.]+ MiB"))
    export = lab.part("exports").get_by_role("link", name="insurance-coverage").first
    expect(export).to_have_attribute("href", f"{walked.settings.portal_url}/exports/{walked.made['export']}")
    expect(lab.part("exports")).to_contain_text("已出域")
    expect(lab.page.get_by_role("button", name=re.compile(r"屏显 \d+% · 剩 \d+ 天"))).to_be_visible()
    lab.notebook.locator(".jp-OutputArea-output").first.scroll_into_view_if_needed()
    lab.notebook.get_by_role("heading", name=re.compile("初看数据")).scroll_into_view_if_needed()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    lab.page.screenshot(path=str(SCREENSHOTS / "jupyterlab.png"))


def test_console_holds_no_error_after_a_notebook_was_run(lab: Lab) -> None:
    assert (lab.errors, lab.refused) == ([], [])


def test_installers_inside_say_where_to_ask(lab: Lab) -> None:
    expect(lab.run_cell("!pip install x").get_by_text("Ask the authority")).to_be_visible()


def test_panel_cannot_be_told_anything_by_a_notebook(lab: Lab) -> None:
    code = (
        "from pathlib import Path; print([str(p) for p in Path('/').rglob('notes*') if 'shuzha' in str(p)], 'looked')"
    )
    expect(lab.run_cell(code).get_by_text("[] looked")).to_be_visible()


def test_menus_offer_no_way_out(lab: Lab) -> None:
    page = lab.page
    words = []
    for name in ("File", "View", "Help"):
        page.get_by_role("menuitem", name=name, exact=True).click()
        words += lab.menu()
    page.locator(".jp-DirListing-item").first.click(button="right")
    words += lab.menu()
    page.locator(".jp-Cell").first.click(button="right")
    words += lab.menu()
    assert "Save Notebook" in words, "the control: these are the words of the menus"
    assert [
        word
        for word in words
        if re.search("download|export|terminal|print|browser tab|shut down$", word, re.IGNORECASE)
    ] == []
    page.keyboard.press("Control+Shift+c")
    for word, offered in (("download", 0), ("export", 0), ("terminal", 0), ("save notebook", 2)):
        page.locator(".lm-CommandPalette-input").fill(word)
        expect(page.locator(".lm-CommandPalette-item")).to_have_count(offered)
    page.keyboard.press("Escape")


@pytest.mark.slow
def test_no_link_and_no_drag_downloads(lab: Lab) -> None:
    page = lab.page
    lab.open_notebook("first-look.ipynb")
    files = page.locator(".jp-DirListing-item")
    notebooks = files.count()
    code = "from IPython.display import FileLink; open('secret.csv', 'w').write('a,b'); display(FileLink('secret.csv'))"
    link = lab.run_cell(code).get_by_role("link", name="secret.csv")
    for keys in ([], ["Alt"], ["Control"]):
        link.click(modifiers=keys)  # type: ignore[arg-type]
    page.get_by_role("button", name="Refresh the file browser.").click()
    expect(files).to_have_count(notebooks)
    files.filter(has_text="counts-report.ipynb").drag_to(lab.notebook)
    expect(page.get_by_role("tab", name="counts-report.ipynb")).to_be_visible()
    page.get_by_role("tab", name="first-look.ipynb").click()
    for other in page.context.pages[2:]:
        assert "a,b" not in other.inner_text("body"), other.url
        other.close()
    assert lab.downloads == []


@pytest.mark.parametrize("way", WAYS_OUT)
def test_address_hands_out_nothing(lab: Lab, way: str) -> None:
    status, said = lab.fetch(WAYS_OUT[way])
    assert status in {400, 403, 404}, said[:200]
    assert "cells" not in said
    assert "a,b" not in said


def test_address_that_is_open_answers(lab: Lab) -> None:
    status, said = lab.fetch("/api/contents/first-look.ipynb?content=1")
    assert status == 200, "the control: notebooks pass, and are counted"
    assert "cells" in said


def test_navigation_to_a_file_shows_why_not(lab: Lab, chinese: BrowserContext) -> None:
    page = chinese.new_page()
    began: list[Any] = []
    page.on("download", lambda download: began.append(download))
    answer = page.goto(f"{lab.base}/files/first-look.ipynb")
    assert answer is not None
    assert answer.status == 403
    expect(page.get_by_role("heading", level=1)).to_contain_text("该路径未开放")
    page.close()
    assert began == []


def test_kernel_that_is_ended_for_memory_is_told_of_in_the_page(lab: Lab) -> None:
    lab.run_cell("kept = b'x' * (3 * 1024**3)")
    dialog = lab.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Kernel Restarting", timeout=SECONDS)
    dialog.get_by_role("button", name="Ok").click()
    expect(lab.part("hits")).to_contain_text("超过 2 GiB 被终止", timeout=SECONDS)
    expect(lab.page.get_by_role("alert").filter(has_text="超过 2 GiB 被终止").first).to_be_visible()


def test_console_holds_no_error_but_for_denied_routes(lab: Lab) -> None:
    paths = {url.removeprefix(lab.base).partition("?")[0] for url in lab.refused}
    tried = {path.partition("?")[0] for path in WAYS_OUT.values()}
    assert paths - tried - {"/files/secret.csv", "/api/contents/secret.csv"} == set()
    assert [error for error in lab.errors if not error.startswith(ACCEPTED)] == []
    assert lab.downloads == []
