"""The whole way with the platform's own worker: events ask for jobs, files are read in a process of their own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sandbox.inbound.model import ImportRequest, ImportState
from shuzha.server.worker import running
from tests.inbound_kit import listed, people
from tests.portal_kit import PortalCity


def wait_for(city: PortalCity, identifier: str, state: ImportState) -> ImportRequest:
    deadline = time.monotonic() + 60
    while True:
        found = city.platform.inbound.get_import(city.people["analyst"], identifier)
        if found.state is state:
            return found
        assert time.monotonic() < deadline, f"{identifier} is {found.state}: {found.reason}"
        time.sleep(0.05)


@pytest.mark.slow
def test_the_worker_reads_screens_lets_in_and_takes_away(tmp_path: Path) -> None:
    city = PortalCity(tmp_path)
    del city.platform.__dict__["inbound"]  # The platform's own, with the real reader.
    entry = city.entry()
    city.fill(entry)
    demand = city.demand(city.authorize(entry), entry, "customers who are insured")
    city.release(demand)
    workspace, inbound = city.workspace(demand), city.platform.inbound
    analyst, zone = city.people["analyst"], city.platform.own_files
    with running(city.platform):
        made = inbound.receive(analyst, workspace.id, "客户.csv", people(range(100, 260)))
        assert wait_for(city, made.id, ImportState.DRAFT).rows == 160
        inbound.submit(analyst, made.id, listed())
        wait_for(city, made.id, ImportState.SCREENED)
        inbound.approve(city.people["checker1"], made.id, "fits the scenario")
        wait_for(city, made.id, ImportState.IMPORTED)
        assert zone.find(workspace.name, "customers") is not None
        city.platform.workspaces.close_workspace(analyst, workspace.id, "the scenario ended")
        wait_for(city, made.id, ImportState.REMOVED)
    assert zone.find(workspace.name, "customers") is None
    logged = [one for one in city.platform.database.events_after(0, 5000) if one.subject == made.id]
    assert [one.tag for one in logged] == [
        "import:receive", "import:read", "import:submit", "import:screen", "import:approve", "import:admit",
        "import:remove",
    ]  # fmt: skip
    assert [one.approver for one in logged if one.tag == "import:approve"] == [city.people["checker1"].id]
