"""A real platform for tests: its own folder, ports and processes, a small invented city, and the ten hops walked."""

from __future__ import annotations

import contextlib
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from ports_kit import free_ports

from sandbox.workspaces.host.limits import Cgroup, CgroupHost
from sandbox.workspaces.jails.warden import group_name, kernel_group_name
from shuzha.core.settings import Settings
from shuzha.server.demo.calls import Verifier
from shuzha.server.demo.cast import enrol, password_of
from shuzha.server.demo.city import City
from shuzha.server.demo.client import Person, Portal, Refused
from shuzha.server.demo.hub_session import run_cells
from shuzha.server.demo.journey import Journey
from shuzha.server.demo.run import CitySize, make_city
from shuzha.server.platform import Platform
from shuzha.server.running import RunningPlatform

ROOT = Path(__file__).parents[1]
ENVIRONMENT = Path(os.environ.get("SHUZHA_SANDBOX_ENVIRONMENT", ROOT / ".venv-sandbox"))
SMALL = CitySize(residents=3_000, enterprises=300, insurance_rows=25_000)


def wait_until(true: Callable[[], Any], timeout: float = 10.0, what: str = "the condition") -> Any:
    """Return the first truthy value of `true()`; fail when `timeout` seconds pass without one."""
    deadline = time.monotonic() + timeout
    while not (value := true()):
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout} s"
        time.sleep(0.01)
    return value


def settings_in(data: Path) -> Settings:
    """Return the settings of a demonstration with this data folder, on ports of its own."""
    portal, api, sandbox = free_ports(3)
    return Settings(
        data=data, portal_port=portal, api_port=api, sandbox_port=sandbox, sandbox_environment=ENVIRONMENT, demo=True
    )


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Give a folder whose path is short, for the names of unix sockets, and which a jail's user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="szj-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Walked:
    """A running platform on which the ten hops were walked, and what its people can do with it."""

    folder: Path
    running: RunningPlatform
    city: City
    journey: Journey
    password: str
    size: CitySize = SMALL
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)

    @property
    def platform(self) -> Platform:
        return self.running.platform

    @property
    def settings(self) -> Settings:
        return self.running.platform.settings

    @property
    def made(self) -> Mapping[str, Any]:
        return self.journey.made

    def person(self, login: str) -> Person:
        return self.journey.person(login)

    def verifier(self, secret: str = "") -> Verifier:
        """Return a consumer's program with the journey's key, or another."""
        return Verifier(self.settings, secret or self.journey.secret, self.made["product_code"])

    def workspace(self) -> Any:
        """Return the analyst's workspace, open: started again where a test stopped it."""
        analyst = self.person("analyst")
        found = analyst.post("/workspaces", {"demand": self.made["demand"]})
        found = analyst.wait(f"/workspaces/{found['id']}", lambda one: one["state"] != "opening", "the workspace", 60)
        assert found["state"] == "open", found["reason"]
        return found

    def run_inside(self, *cells: str) -> str:
        """Run code in a new kernel of the open workspace, as its analyst's browser does; return what it printed."""
        run = run_cells(self.settings, "analyst", self.password, self.made["server"], cells)
        assert not run.failed, run.failed
        return "".join(cell.text for cell in run.cells)

    def jail(self) -> Cgroup:
        """Return the control group of the workspace's server."""
        return CgroupHost.detect().group(group_name(self.settings.runtime, self._name()))

    def kernels(self) -> Cgroup:
        """Return the control group of the workspace's kernels."""
        return CgroupHost.detect().group(kernel_group_name(self.settings.runtime, self._name()))

    def _name(self) -> str:
        return str(self.made["server"].rpartition("/")[2])

    def log_of(self, unit: str) -> str:
        """Return the last lines that a process wrote."""
        path = self.settings.folder("run") / f"{unit}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


@contextlib.contextmanager
def walked_platform(size: CitySize = SMALL) -> Iterator[Walked]:
    """Give a platform on which the ten hops were walked; it and its jails are ended afterwards."""
    with short_folder() as folder:
        began = time.monotonic()
        city = make_city(folder, size)
        password = password_of(folder / "password")
        running = RunningPlatform(settings_in(folder / "data"))
        try:
            running.start()
            enrol(running.platform.people, Portal(running.platform.settings), password)
            journey = Journey(running.platform, city, password)
            walked = Walked(folder, running, city, journey, password, size)
            journey.walk()
            walked.seconds = time.monotonic() - began
            # These tests ask about one person hundreds of times.
            wide = {"distinct_subjects": 1_000_000, "subject_asks": 60_000, "negatives": 1_000_000, "reason": "tests"}
            walked.person("operator").put(f"/products/{walked.made['product']}/limits", wide)
            yield walked
        finally:
            running.stop()
            shutil.rmtree(running.platform.settings.runtime, ignore_errors=True)


class Browser:
    """A person's browser at the portal: pages, and forms with the session's text against forgery."""

    def __init__(self, walked: Walked, login: str) -> None:
        settings = walked.settings
        self._client = httpx.Client(
            base_url=f"http://{settings.bind}:{settings.portal_port}", timeout=30, headers={"Accept": "text/html"}
        )
        answer = self._client.post("/sign-in", data={"login": login, "password": walked.password})
        assert answer.status_code == 303, answer.text

    def read(self, path: str) -> str:
        """Return a page's text as a person reads it."""
        answer = self._client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return html.unescape(answer.text)

    def send(self, page: str, path: str, **fields: str) -> httpx.Response:
        """Return the answer to a form that stands on `page`."""
        found = re.search(r'name="csrf" value="([^"]+)"', self._client.get(page).text)
        assert found is not None, f"{page} has no form"
        return self._client.post(path, data={"csrf": found[1], **fields})


def shuzha(*arguments: str | Path, settings: Settings | None = None, file: Path | None = None) -> Any:
    """Run the real command line and return its completed process; settings are given by the environment or a file."""
    environment = dict(os.environ)
    if settings is not None:
        environment |= {f"SHUZHA_{name.upper()}": str(value) for name, value in settings.as_dict().items()}
    command = [str(Path(sys.executable).with_name("shuzha")), *map(str, arguments)]
    command += ["--settings", str(file)] if file is not None else []
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def refused(call: Callable[[], Any]) -> Refused:
    """Return the refusal that a call ends in; fail where it is answered."""
    try:
        answer = call()
    except Refused as refusal:
        return refusal
    raise AssertionError(f"was not refused: {answer!r}")


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """Return a problem document, held to its form: type, title, status, detail, a stable code, a trace."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    assert {"type", "title", "detail", "code", "trace"} <= body.keys(), body
    return body
