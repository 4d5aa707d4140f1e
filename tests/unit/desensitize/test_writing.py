"""Writing: whole or not at all, cancelled without a trace, and taken up again after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import desensitize
from desensitize import InvalidInput, Plan
from desensitize.errors import Cancelled, Unfinished
from desensitize.release import CERTIFICATE_FILE, Release
from desensitize.writing import MANIFEST_FILE, discard_unfinished

KEY = bytes(range(32))
PLAN = Plan.from_dict(
    {"columns": {"who": "pseudonymize", "phone": {"technique": "mask", "keep_first": 3}, "n": "keep"}}
)
ROWS = 5000
PART = 1200

CHILD = """
import os, signal, sys
import desensitize
from desensitize import Plan

def kill_after_two_parts(done, rows):
    if done > 2400:
        os.kill(os.getpid(), signal.SIGKILL)

plan = Plan.from_toml(sys.argv[2])
release = desensitize.apply(sys.argv[1], plan, key=bytes(range(32)))
release.write(sys.argv[3], part_rows=1200, progress=kill_after_two_parts)
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = range(ROWS)
    frame = pl.DataFrame({"who": [f"p{n % 900}" for n in rows], "phone": [f"138{n:08}" for n in rows], "n": list(rows)})
    frame.write_parquet(tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def _release(table: Path, key: bytes = KEY, plan: Plan = PLAN) -> Release:
    return desensitize.apply(table, plan, key=key)


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".toml" and path.name != "in.parquet")


def _kill_in_the_middle(table: Path) -> Path:
    """Return the partial folder of a real run that was killed while it wrote its third part."""
    plan = table.parent / "plan.toml"
    plan.write_text(PLAN.to_toml(), encoding="utf-8")
    target = table.parent / "out"
    done = subprocess.run([sys.executable, "-c", CHILD, table, plan, target], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    return table.parent / ".out.partial"


def test_write_in_parts_gives_the_same_rows_and_certificate(table: Path) -> None:
    whole = _release(table).write(table.parent / "whole")
    parts = _release(table).write(table.parent / "parts", part_rows=PART)
    assert sorted(path.name for path in parts.iterdir()) == [
        CERTIFICATE_FILE, "data-00001.parquet", "data-00002.parquet", "data-00003.parquet", "data-00004.parquet",
        "data-00005.parquet",
    ]  # fmt: skip
    assert pl.read_parquet(parts / "*.parquet").equals(pl.read_parquet(whole / "data.parquet"))
    assert (parts / CERTIFICATE_FILE).read_bytes() == (whole / CERTIFICATE_FILE).read_bytes()


def test_write_tells_how_far_it_is(table: Path) -> None:
    heard: list[tuple[int, int]] = []
    _release(table).write(table.parent / "out", part_rows=PART, progress=lambda done, rows: heard.append((done, rows)))
    assert heard == sorted(heard)
    assert heard[-1] == (ROWS, ROWS)


def _interrupt(*_: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("part_rows", [None, PART])
@pytest.mark.parametrize("keep", [False, True])
def test_cancel_and_interrupt_leave_nothing_but_parts_to_be_kept(
    table: Path, part_rows: int | None, keep: bool
) -> None:
    kept = [".out.partial"] if keep and part_rows else []
    with pytest.raises(Cancelled):
        _release(table).write(table.parent / "out", part_rows=part_rows, keep_unfinished=keep, cancel=lambda: True)
    assert _left(table.parent) == kept
    with pytest.raises(KeyboardInterrupt):
        _release(table).write(table.parent / "out", part_rows=part_rows, keep_unfinished=keep, progress=_interrupt)
    assert _left(table.parent) == kept


def test_write_takes_up_a_killed_run_and_keeps_its_parts(table: Path) -> None:
    partial = _kill_in_the_middle(table)
    finished = {path.name: path.stat().st_mtime_ns for path in partial.glob("data-*.parquet")}
    assert set(finished) >= {"data-00001.parquet", "data-00002.parquet"}
    assert len(finished) < 5
    (partial / ".data-00005.parquet").write_bytes(b"half")
    heard: list[int] = []
    out = _release(table).write(table.parent / "out", part_rows=PART, progress=lambda done, _: heard.append(done))
    assert min(heard) >= PART * len(finished)
    assert {name: (out / name).stat().st_mtime_ns for name in finished} == finished
    expected = _release(table).frame.collect()
    assert pl.read_parquet(out / "data-*.parquet").equals(expected)
    assert _left(table.parent) == ["out"]
    certificate = json.loads((out / CERTIFICATE_FILE).read_text(encoding="utf-8"))
    assert certificate["output"] == _release(table).certificate["output"]


CHANGES: dict[str, Callable[[Path], Release]] = {
    "plan": lambda table: _release(table, plan=PLAN.with_column("n", desensitize.transform.techniques.Drop())),
    "key": lambda table: _release(table, key=b"k" * 32),
    "input": lambda table: (os.utime(table, (1, 1)), _release(table))[1],
    "part_rows": _release,
}


def test_write_refuses_to_take_up_parts_of_something_else(table: Path) -> None:
    partial = _kill_in_the_middle(table)
    before = sorted(path.name for path in partial.iterdir())
    for changed, make in CHANGES.items():
        with pytest.raises(Unfinished, match=f"with another {changed};"):
            make(table).write(table.parent / "out", part_rows=PART + (changed == "part_rows"))
        os.utime(table, None)
        assert sorted(path.name for path in partial.iterdir()) == before
        _restore_time(table, partial)
    with pytest.raises(Unfinished):
        _release(table).write(table.parent / "out")
    discard_unfinished(table.parent / "out")
    assert _left(table.parent) == []


def _restore_time(table: Path, partial: Path) -> None:
    """Bind the parts to the file as it is now, so that only one thing differs at a time."""
    manifest = json.loads((partial / MANIFEST_FILE).read_text(encoding="utf-8"))
    manifest["input"] = _release(table)._bind()["input"]
    (partial / MANIFEST_FILE).write_text(json.dumps(manifest), encoding="utf-8")


def test_write_clears_what_a_killed_run_without_parts_left(table: Path) -> None:
    partial = table.parent / ".out.partial"
    partial.mkdir()
    (partial / ".data.parquet").write_bytes(b"half")
    out = _release(table).write(table.parent / "out")
    assert sorted(path.name for path in out.iterdir()) == [CERTIFICATE_FILE, "data.parquet"]


def test_write_refuses_a_folder_that_another_run_writes(table: Path) -> None:
    refused: list[str] = []

    def write_again(*_: int) -> None:
        for work in (_release(table).write, discard_unfinished):
            with pytest.raises(InvalidInput, match="being written by another run") as caught:
                work(table.parent / "out")
            refused.append(str(caught.value))

    _release(table).write(table.parent / "out", progress=write_again)
    assert len(refused) >= 2


def test_write_refuses_parts_of_no_rows_and_of_tables_without_a_file(table: Path) -> None:
    with pytest.raises(InvalidInput, match="at least one row"):
        _release(table).write(table.parent / "out", part_rows=0)
    release = desensitize.apply(pl.read_parquet(table), PLAN, key=KEY)
    with pytest.raises(InvalidInput, match="comes from files"):
        release.write(table.parent / "out", part_rows=10)
    assert _left(table.parent) == []


def test_write_takes_an_empty_table_and_a_folder_of_files(table: Path) -> None:
    frame = pl.read_parquet(table)
    folder = table.parent / "many"
    folder.mkdir()
    for number in range(3):
        frame.write_parquet(folder / f"{number}.parquet")
    out = _release(folder).write(table.parent / "out", part_rows=PART)
    assert pl.scan_parquet(out / "data-*.parquet").select(pl.len()).collect().item() == 3 * ROWS
    frame.clear().write_parquet(table)
    out = _release(table).write(table.parent / "empty", part_rows=PART)
    assert pl.read_parquet(out / "data.parquet").shape == (0, 3)
    (table.parent / "none").mkdir()
    with pytest.raises(InvalidInput, match=r"folder `none` holds no \.parquet"):
        _release(table.parent / "none")


CLI = "import sys; sys.argv = ['shuzha', *sys.argv[1:]]; from shuzha.server.cli import main; main()"


def _command(table: Path, *more: str) -> list[str]:
    folder = table.parent
    (folder / "plan.toml").write_text(PLAN.to_toml(), encoding="utf-8")
    key = folder / "key.toml"
    key.touch(0o600)
    key.write_bytes(KEY)
    arguments = ["desensitize", table, "--plan", folder / "plan.toml", "--key-file", key, "-o", folder / "out", *more]
    return [sys.executable, "-c", CLI, *map(str, arguments)]


def test_command_writes_in_parts_and_says_where(table: Path) -> None:
    done = subprocess.run(
        _command(table, "--part-rows", "1200"), check=True, capture_output=True, text=True, timeout=120
    )
    assert "files: 5" in done.stdout
    assert len(list((table.parent / "out").glob("data-*.parquet"))) == 5


@pytest.mark.slow
def test_command_ended_by_a_signal_leaves_nothing(table: Path) -> None:
    frame = pl.read_parquet(table)
    pl.concat([frame] * 400).write_parquet(table)
    running = subprocess.Popen(_command(table), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    partial = table.parent / ".out.partial"
    while not (partial / ".data.parquet").exists():
        assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 3
    assert "cancelled" in said
    assert _left(table.parent) == []
