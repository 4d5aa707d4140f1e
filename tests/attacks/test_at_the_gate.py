"""The gate alone, before a server that answers everything: what it closes comes through once it judges nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from attack_kit import CLOSED_ROUTES
from gate_kit import BASE, KNOWN, Place, running_place
from yarl import URL

from sandbox.workspaces.gate import proxy as gate_proxy
from sandbox.workspaces.gate import status as gate_status
from sandbox.workspaces.gate.routes import Action, Verdict
from sandbox.workspaces.records.notes import Notes

KEPT = ("lab/api/workspaces/mine", "lab/api/settings/@jupyterlab/apputils-extension:themes")


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    async with running_place() as place:
        yield place


async def ask(place: Place, method: str, path: str, **named: object) -> int:
    url = URL(f"{place.url}{BASE}/{path}", encoded=True)
    async with aiohttp.ClientSession(headers=KNOWN) as session, session.request(method, url, **named) as answer:  # type: ignore[arg-type]
        await answer.read()
        return answer.status


@pytest.mark.attack(
    what="each closed route by every method, and without a session", route="a browser", layer="gate",
    control="the same gate that judges nothing hands it on, and the server answers",
)  # fmt: skip
async def test_closed_route_is_opened_by_no_method(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    for path in CLOSED_ROUTES:
        assert {method: await ask(place, method, path) for method in methods} == dict.fromkeys(methods, 403), path
    assert place.seen == [], "nothing reached the server"
    monkeypatch.setattr(gate_proxy, "judge", lambda *_, **__: Verdict(Action.PASS))
    for path in CLOSED_ROUTES:
        assert await ask(place, "GET", path) == 200, f"the control: {path}"
    assert len(place.seen) == len(CLOSED_ROUTES)


@pytest.mark.attack(
    what="rows written into settings and workspaces of JupyterLab, to be read back", route="a browser", layer="gate",
    control="the same gate that judges nothing hands them on to the server",
)  # fmt: skip
async def test_what_is_swallowed_reaches_no_server(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in KEPT:
        assert await ask(place, "PUT", path, json={"rows": "x" * 1000}) == 204
    assert place.seen == []
    monkeypatch.setattr(gate_proxy, "judge", lambda *_, **__: Verdict(Action.PASS))
    for path in KEPT:
        assert await ask(place, "PUT", path, json={"rows": "x" * 1000}) == 200
    assert [size > 1000 for _, _, size in place.seen] == [True] * len(KEPT), "the control"


NAMES = (
    "api/contents/../data.csv", "api/contents/..%2fdata.csv", "api/contents/%2e%2e/secret.ipynb",
    "api/contents//etc.ipynb", "api/contents/a%00.ipynb",
    "api/contents/a%0a.ipynb", "api/contents/a%5c..%5cb.ipynb", "api/contents/a%252fb.ipynb",
)  # fmt: skip


@pytest.mark.attack(
    what="names that leave the folder of notebooks or read in two ways", route="the contents API by a browser",
    layer="gate", control="a plain name of a notebook is handed on",
)  # fmt: skip
async def test_name_that_leaves_is_not_handed_on(place: Place) -> None:
    refused = {name: await ask(place, "PUT", f"{name}?type=notebook", json={}) for name in NAMES}
    assert {name: status for name, status in refused.items() if status not in {400, 403}} == {}
    assert place.seen == []
    assert await ask(place, "PUT", "api/contents/a%20b/c.ipynb", json={"type": "notebook"}) == 200, "the control"


@pytest.mark.attack(
    what="rows in how much memory and disk the kernel takes, read from the panel's figures as often as one likes",
    route="a browser and a kernel together, past the screen budget", layer="gate",
    control="figures told finely and at once are as many as were measured",
)  # fmt: skip
def test_figures_of_the_panel_carry_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = iter(range(10**9))

    def measure(_: str) -> dict[str, Any]:
        taken = next(rows) * 4096
        kernels = {"memory_bytes": taken, "cpu_nanoseconds": taken * 1000}
        return {"groups": {"kernels": kernels}, "disk": {"used_bytes": taken}, "account": {"hits": {"memory": taken}}}

    def ask() -> int:
        now = iter(range(1000))
        desk = gate_status.StatusDesk(Notes(tmp_path), measure, clock=lambda: next(now) / 100)
        return len({json.dumps(desk.find("w-one", {})) for _ in range(1000)})

    assert ask() <= 2, "ten seconds"
    monkeypatch.setattr(gate_status, "MEASURE_SECONDS", 0.0)
    monkeypatch.setattr(gate_status, "MEMORY_STEP", 4096)
    assert ask() == 1000, "the control"
