"""The whole of an export with the real clean room: a kernel in a jail, without a network and with nobody connected."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.airlock.model import ExportState
from sandbox.airlock.room import JailedRoom
from sandbox.workspaces.room_box import LocalRooms
from shuzha.core.errors import Invalid
from tests.airlock_kit import ROOT, TABLE, VERIFICATION, AirlockCity

ENVIRONMENT = ROOT / ".venv-sandbox"
ready = shutil.which("bwrap") and os.geteuid() == 0 and ENVIRONMENT.exists()
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not ready, reason="needs root, bubblewrap and the sandbox's environment"),
]

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
        room = JailedRoom(
            city.database, city.releases.path, environment=ENVIRONMENT, rooms=LocalRooms(ENVIRONMENT, Path(folder))
        )
        city.airlock = city.make_service(room)
        yield city


def test_an_output_leaves_through_the_real_clean_room(jailed: AirlockCity) -> None:
    _, release = jailed.ready()
    request = jailed.request_at(ExportState.RELEASED, release, LOOK, REACH, TABLE, VERIFICATION)
    assert request.state is ExportState.RELEASED, request.reason
    assert request.run is not None
    assert len(request.run.environment) == 64
    assert [file.name for file in request.files] == ["by_district", "insured"]


def test_the_real_clean_room_names_the_cell_that_failed(jailed: AirlockCity) -> None:
    _, release = jailed.ready()
    request = jailed.request_at(ExportState.RETURNED, release, "x = 1", "1 / 0")
    assert "failed at cell 3 (ZeroDivisionError)" in request.reason


def test_the_room_refuses_a_release_that_is_gone(jailed: AirlockCity) -> None:
    _, release = jailed.ready()
    jailed.releases.destroy(jailed.authority, release.id, "exit")
    with pytest.raises(Invalid, match="destroyed"):
        jailed.airlock._parts.room.run(jailed.submission(release).notebook, (release.id,))
