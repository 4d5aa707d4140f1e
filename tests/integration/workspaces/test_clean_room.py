"""A notebook run again by nobody's hand, in a jail with a kernel alone."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import polars as pl
import pytest
from workspace_kit import ENVIRONMENT, ROOT

from sandbox.workspaces.clean_room.outbox import OutboxCaps, OutputKind
from sandbox.workspaces.clean_room.run import NotebookRefused, RoomCaps, Run, RunState, run_notebook
from sandbox.workspaces.host.limits import CgroupHost, Limits
from sandbox.workspaces.records.specs import GrantedRelease

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="jails with users of their own need root"),
]
SMALL = RoomCaps(wall_seconds=60, jail=Limits(memory_bytes=600 * 1024**2, processes=64, cpu_percent=200))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sz-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def release(folder: Path) -> GrantedRelease:
    path = folder / "releases" / "rel_1"
    path.mkdir(parents=True)
    rows = [
        {"resident_id": f"p{n}", "district_code": f"37010{n % 3}", "kind": kind, "period": "2026-10", "paid": n % 4 > 0}
        for n in range(300)
        for kind in ("pension", "medical")
    ]
    pl.DataFrame(rows).write_parquet(path / "data.parquet")
    return GrantedRelease("social_insurance", path)


@pytest.fixture
def run(folder: Path, release: GrantedRelease):
    def run(*cells: str, caps: RoomCaps = SMALL) -> Run:
        document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        text = nbformat.writes(document).encode()
        return run_notebook(text, [release], environment=ENVIRONMENT, work=folder / "rooms", caps=caps)

    yield run
    assert not [name for name in CgroupHost.detect().list_groups() if name.startswith("room-")]
    assert not list((folder / "rooms").glob("*"))
    mounts = subprocess.run(["mount"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in mounts


def test_run_collects_the_outputs_of_the_starter_notebook(folder: Path, release: GrantedRelease) -> None:
    notebook = (ROOT / "notebooks" / "starter" / "insurance-coverage.ipynb").read_bytes()
    cells: list[tuple[int, int]] = []
    done = run_notebook(
        notebook, [release], environment=ENVIRONMENT, work=folder / "rooms", caps=SMALL,
        report=lambda ran, total: cells.append((ran, total)),
    )  # fmt: skip
    assert done.state is RunState.DONE, done.log
    assert done.outputs.problems == ()
    table, verification = done.outputs.declared
    assert (table.name, table.kind) == ("insured_by_district", OutputKind.TABLE)
    assert json.loads(table.specification or b"")["rows"] == ["district_code"]
    assert (verification.name, verification.kind) == ("insured", OutputKind.VERIFICATION)
    claim = json.loads(verification.specification or b"")["claims"][0]
    assert claim["name"] == "insured"
    assert {"column": "period", "op": "eq", "value": "2026-10"} in claim["where"]
    assert cells[-1][0] == cells[-1][1] == len(done.timings)
    assert len(done.environment_hash) == 64


def test_run_names_the_cell_that_fails_and_repeats_no_data(run) -> None:
    done = run("value = 'secret of p17'", "# the join\nraise KeyError(value)")
    assert done.state is RunState.FAILED
    assert done.failed is not None
    assert (done.failed.cell, done.failed.line, done.failed.error) == (2, "# the join", "KeyError")
    assert "secret" not in " ".join(done.log)


def test_run_tells_nothing_by_the_name_of_an_error(run) -> None:
    done = run("raise type('secret_p17', (Exception,), {})()")
    assert done.failed is not None
    assert done.failed.error == "an error of the notebook's own"
    assert "p17" not in " ".join(done.log)


def test_run_needs_no_state_of_the_workspace(run) -> None:
    done = run("open('notebooks/made-by-hand.csv').read()")
    assert done.failed is not None
    assert done.failed.error == "FileNotFoundError"


def test_run_has_no_network_socket_or_gate(run) -> None:
    done = run(
        "import socket, os",
        "assert sorted(n for _, n in socket.if_nameindex()) == ['lo']",
        "assert not os.path.exists('/gate') and 'SHUZHA_PLATFORM_SOCKET' not in os.environ",
        "assert sorted(os.listdir('/job')) == ['connection', 'outbox', 'sockets']",
    )
    assert done.state is RunState.DONE, done.log


def test_run_ends_a_cell_that_never_ends(run) -> None:
    done = run("1 + 1", "while True: pass", caps=RoomCaps(cell_seconds=1, wall_seconds=60, jail=SMALL.jail))
    assert done.state is RunState.TIMED_OUT
    assert done.failed is not None
    assert done.failed.cell == 2


def test_run_ends_with_the_wall_clock_whatever_was_started(run) -> None:
    code = "import os, time\nfor _ in range(5):\n    if os.fork() == 0: os.setsid(); time.sleep(600)\ntime.sleep(600)"
    done = run(code, caps=RoomCaps(wall_seconds=4, jail=SMALL.jail))
    assert done.state is RunState.TIMED_OUT


def test_run_ends_a_notebook_that_says_too_much(run) -> None:
    code = "while True: display({'text/plain': 'x' * 100_000}, raw=True)"
    done = run(code, caps=RoomCaps(wall_seconds=30, said_bytes=1_000_000, jail=SMALL.jail))
    assert done.state is RunState.ENDED
    assert any("said more than" in line for line in done.log)


def test_run_ends_a_memory_hog(run) -> None:
    done = run("import numpy\nnumpy.ones(2 * 1024**3 // 8)")
    assert done.state is RunState.ENDED
    assert done.failed is not None


def test_outbox_follows_no_link_and_keeps_within_its_caps(run) -> None:
    code = """
import json, os
def declare(name, file):
    body = {"name": name, "kind": "file", "file": file, "media": "text/csv"}
    open(f"/job/outbox/{name}.json", "w").write(json.dumps(body))
os.symlink("/etc/passwd", "/job/outbox/linked"); declare("linked", "linked")
declare("outside", "../connection/kernel.json")
declare("absolute", "/etc/passwd")
os.mkfifo("/job/outbox/pipe"); declare("pipe", "pipe")
os.symlink("/data", "/job/outbox/folder"); declare("through", "folder/social_insurance/data.parquet")
open("/job/outbox/large.bin", "wb").write(bytes(200_000)); declare("large", "large.bin")
os.symlink("/etc/passwd", "/job/outbox/zz.json")
open("/job/outbox/bad.json", "w").write("{")
open("/job/outbox/good.csv", "w").write("a,b"); declare("good", "good.csv")
"""
    caps = RoomCaps(wall_seconds=60, jail=SMALL.jail, outbox=OutboxCaps(file_bytes=100_000))
    done = run(code, caps=caps)
    assert [one.name for one in done.outputs.declared] == ["good"], done.log
    assert done.outputs.declared[0].content == b"a,b"
    assert len(done.outputs.problems) == 8
    assert not any("root:" in problem or "kernel" in problem for problem in done.outputs.problems)


def test_outbox_that_is_filled_stops_the_notebook_and_nothing_else(run) -> None:
    caps = RoomCaps(wall_seconds=60, jail=SMALL.jail, outbox=OutboxCaps(total_bytes=2 * 1024**2))
    done = run("for n in range(64): open(f'/job/outbox/{n}', 'wb').write(bytes(1024**2))", caps=caps)
    assert done.failed is not None
    assert done.failed.error == "OSError"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"print(1)", b'{"cells": 1, "nbformat": 4}'])
def test_run_refuses_what_is_no_notebook(folder: Path, release: GrantedRelease, content: bytes) -> None:
    with pytest.raises(NotebookRefused, match="no valid notebook"):
        run_notebook(content, [release], environment=ENVIRONMENT, work=folder / "rooms")
