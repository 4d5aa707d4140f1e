"""The whole of an export with the real clean room: a kernel in a jail, without a network and with nobody connected."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from sandbox.airlock.model import Choice, ExportState
from sandbox.airlock.room import JailedRoom
from sandbox.workspaces.clean_room.box import LocalRooms
from sandbox.workspaces.own_files import OwnZone
from sandbox.workspaces.records.specs import GrantedRelease
from shuzha.core.errors import Invalid
from tests.airlock_kit import ROOT, TABLE, VERIFICATION, AirlockCity

ENVIRONMENT = ROOT / ".venv-sandbox"
ready = shutil.which("bwrap") and os.geteuid() == 0 and ENVIRONMENT.exists()
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not ready, reason="needs root, bubblewrap and the sandbox's environment"),
]

_BUFFER = io.BytesIO()
pl.DataFrame({"district_code": ["370102"], "branches": [3]}).write_parquet(_BUFFER)
BRANCHES = _BUFFER.getvalue()
LOOK = 'frame = workbench.load("social_insurance"); assert frame.collect().height > 0'
REACH = """
import pathlib, socket
def connect(): socket.create_connection(("127.0.0.1", 22), 1)
def look_up(): socket.getaddrinfo("example.com", 80)
def look_around(): list(pathlib.Path("/work").iterdir())
for attempt in (connect, look_up, look_around):
    try:
        attempt()
    except OSError:
        continue
    raise SystemExit("reached the outside")
"""


@pytest.fixture
def jailed(city: AirlockCity) -> Iterator[AirlockCity]:
    # Sockets lie in the folder of a room: its path is short.
    with tempfile.TemporaryDirectory(prefix="room-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        for path in (city.folder, *city.folder.parents):
            if path.stat().st_uid == os.geteuid() and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o011)
        zone = OwnZone(city.folder / "own")
        zone.put("w-one", "branches", BRANCHES)

        def own_file(identifier: str) -> GrantedRelease:
            place = zone.find("w-one", "branches")
            if place is None:
                raise Invalid(f"own file {identifier} is removed")
            return GrantedRelease("own/branches", place)

        room = JailedRoom(
            city.database, city.releases.path, environment=ENVIRONMENT, rooms=LocalRooms(ENVIRONMENT, Path(folder)),
            own_file=own_file,
        )  # fmt: skip
        city.airlock = city.make_service(room)
        yield city


def test_an_output_leaves_through_the_real_clean_room(jailed: AirlockCity) -> None:
    _, release = jailed.ready()
    request = jailed.request_at(ExportState.RELEASED, release, LOOK, REACH, TABLE, VERIFICATION)
    assert request.state is ExportState.RELEASED, request.reason
    assert request.run is not None
    assert len(request.run.environment) == 64
    assert [file.name for file in request.files] == ["by_district", "insured"]


def test_the_clean_room_shows_the_own_files_that_the_request_rests_on(jailed: AirlockCity) -> None:
    _, release = jailed.ready()
    read = "assert workbench.load('branches').collect().rows() == [('370102', 3)]"
    asked = jailed.submission(release, read, TABLE, own_files=("imp_1",))
    made = jailed.airlock.process(jailed.airlock.submit(jailed.analyst, asked).id)
    assert made.state is ExportState.SCREENED, made.reason
    assert [one.figure for one in made.findings if one.rule == "own_files"] == [1]
    for checker in (jailed.checker, jailed.second):
        made = jailed.airlock.vote(checker, made.id, Choice.APPROVE, "the branches are public")
    made = jailed.airlock.finish(made.id)
    record = jailed.airlock.read_record(jailed.analyst, made.id)
    assert json.loads(record.content)["own_files"] == ["imp_1"]
    without = jailed.airlock.submit(jailed.analyst, jailed.submission(release, read, TABLE))
    assert jailed.airlock.process(without.id).state is ExportState.RETURNED, "not shown unless the request names it"
    OwnZone(jailed.folder / "own").remove("w-one", "branches")
    gone = jailed.airlock.submit(jailed.analyst, asked)
    assert "own file imp_1 is removed" in jailed.airlock.process(gone.id).reason


def test_the_real_clean_room_names_the_cell_that_failed(jailed: AirlockCity) -> None:
    _, release = jailed.ready()
    request = jailed.request_at(ExportState.RETURNED, release, "x = 1", "1 / 0")
    assert "failed at cell 3 (ZeroDivisionError)" in request.reason


def test_the_room_refuses_a_release_that_is_gone(jailed: AirlockCity) -> None:
    _, release = jailed.ready()
    jailed.releases.destroy(jailed.authority, release.id, "exit")
    with pytest.raises(Invalid, match="destroyed"):
        jailed.airlock._parts.room.run(jailed.submission(release).notebook, (release.id,))
