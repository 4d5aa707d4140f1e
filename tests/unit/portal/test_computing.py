"""What workspaces use and which limits they hit, on the pages of those whose business it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sandbox.workspaces.compute_store import GIB
from sandbox.workspaces.model import WorkspaceState
from sandbox.workspaces.sessions import LONG
from sandbox.workspaces.store import WORKSPACES
from shuzha.core.actor import platform_actor
from tests.portal_kit import PortalCity


@dataclass
class Jailer:
    """A jailer that says what it is told to say."""

    up: bool = True
    hits: dict[str, int] = field(default_factory=dict)

    def account(self, _workspace: str) -> dict[str, Any]:
        return {
            "account": {
                "epoch": "a", "cpu_nanoseconds": 12_345_000_000, "memory_byte_seconds": GIB * 5400,
                "storage_byte_seconds": GIB * 21600, "storage_bytes": 5, "busy_at": 0.0, "hits": self.hits,
            },
            "disk": {"used_bytes": 3 * 1024**2, "most_bytes": GIB},
            "groups": {"kernels": {"incarnation": "x", "memory_bytes": 7 * 1024**2, "processes": 11}},
        }  # fmt: skip

    def describe(self) -> dict[str, list[str]]:
        return {"holds": ["memory is capped by a control group"], "cannot": ["a thing of the host's own"]}

    def is_up(self) -> bool:
        return self.up


@pytest.fixture
def jailer(city: PortalCity, monkeypatch: pytest.MonkeyPatch) -> Jailer:
    made = Jailer()
    platform = city.platform
    # The pages were made with the service that there is.
    monkeypatch.setattr(platform.compute, "_jailer", made)
    return made


@pytest.fixture
def stopped(city: PortalCity) -> Iterator[None]:
    """The workspace as one that was stopped for its length; put back after, since all tests share the city."""

    def change(state: WorkspaceState, reason: str) -> None:
        with city.platform.database.work(platform_actor("test")) as work:
            found = work.get(WORKSPACES, city.made["workspace"])
            work.save(WORKSPACES, replace(found, state=state, reason=reason))

    before = city.platform.workspaces.get_workspace(city.people["authority"], city.made["workspace"])
    change(WorkspaceState.STOPPED, LONG)
    yield
    change(before.state, before.reason)


def test_use_is_shown_to_the_analyst_the_unit_and_the_regulator(sign_in, city: PortalCity, jailer: Jailer) -> None:
    page = f"/workspaces/{city.made['workspace']}"
    found = city.platform.workspaces.get_workspace(city.people["authority"], city.made["workspace"])
    before = sign_in("analyst").get(page).text
    assert "12.345" not in before
    assert "A session lasts at most 12 hours." in before
    jailer.hits = {"memory": 3, "disk": 1}
    city.platform.compute.read_account(found)
    (day,) = city.platform.compute.list_days(city.people["regulator"], found.id)
    for login, path in (
        ("analyst", page), ("operator", f"/authorizations/{found.authorization}"),
        ("regulator", f"/oversight?period={day.day[:7]}"),
    ):  # fmt: skip
        text = sign_in(login).get(path).text
        assert "12.345" in text, path
        assert "1.5" in text
        assert "0.25" in text
    text = sign_in("analyst").get(page).text
    assert "a process that took more than the limit was ended · 3 times" in text
    assert "the home was full · 1 times" in text
    assert "主目录已满" in sign_in("analyst", "zh").get(page).text


@pytest.mark.usefixtures("stopped")
def test_the_limit_that_ended_a_session_is_said_on_its_page(sign_in, city: PortalCity) -> None:
    page = f"/workspaces/{city.made['workspace']}"
    text = sign_in("analyst").get(page).text
    assert "The server was stopped." in text
    assert LONG in text
    assert "本次运行已达最长时间" in sign_in("analyst", "zh").get(page).text


def test_host_page_says_what_is_enforced_and_lists_running_workspaces(
    sign_in, city: PortalCity, jailer: Jailer
) -> None:
    text = sign_in("authority").get("/host").text
    assert "memory is capped by a control group" in text
    assert "a thing of the host&#39;s own" in text
    assert f"/workspaces/{city.made['workspace']}" in text
    assert "7 MiB" in text
    # An administrator sees the host and nobody's workspace.
    admin = sign_in("admin").get("/host").text
    assert "a thing of the host&#39;s own" in admin
    assert city.made["workspace"] not in admin
    jailer.up = False
    assert "is not known now" in sign_in("authority").get("/host").text
    assert sign_in("analyst").get("/host").status_code == 403
