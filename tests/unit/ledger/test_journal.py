"""After a loss of power the journal gives back what the log's own files had not yet on disk."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.core.clock import SystemClock
from shuzha.ledger import journal as module
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.journal import Journal, replay
from shuzha.ledger.layout import NewEntry
from shuzha.ledger.log import Log
from shuzha.ledger.verify import verify_folder

SIGNER = Signer("test/journal", Ed25519PrivateKey.from_private_bytes(bytes(32)))


@pytest.fixture(autouse=True)
def small_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HALF", 1 << 16)
    monkeypatch.setattr(module, "_CHUNK", 1 << 16)


def entries(first: int, count: int, size: int = 40) -> list[NewEntry]:
    return [NewEntry(f"usg_{first + place}", "usage", b'{"n":"%b"}' % (b"x" * size)) for place in range(count)]


def open_log(folder: Path) -> Log:
    return Log(folder / "log", SIGNER, SystemClock(), journal=folder / "journal.bin")


def kill(log: Log) -> None:
    os.close(log._lock)


def after_power_loss(folder: Path, target: Path, keep: int, *, zeros: bool = False) -> None:
    """Copy an installation as a disk that has only so many bytes of the entries that were not forced."""
    shutil.copytree(folder, target)
    path = target / "log" / "entries" / "000000.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:keep] + bytes(len(whole) - keep) * zeros)


@pytest.mark.parametrize("zeros", [False, True])
def test_what_was_acknowledged_comes_back_wherever_the_files_were_cut(tmp_path: Path, *, zeros: bool) -> None:
    log = open_log(tmp_path / "a")
    log.append(entries(0, 5))
    log.publish()
    path = tmp_path / "a" / "log" / "entries" / "000000.jsonl"
    forced = path.stat().st_size
    for batch in range(8):
        log.append(entries(5 + 3 * batch, 3))
    whole, root = path.read_bytes(), log.seal().root
    dice = random.Random(7)
    for attempt, keep in enumerate([forced, len(whole), *(dice.randrange(forced, len(whole)) for _ in range(8))]):
        target = tmp_path / f"b{attempt}"
        after_power_loss(tmp_path / "a", target, keep, zeros=zeros)
        again = open_log(target)
        assert (again.size, again.seal().root) == (29, root)
        again.append(entries(29, 1))
        again.close()
        report = verify_folder(target / "log")
        assert (report.faults, report.size) == ([], 30)
    kill(log)


def test_records_go_round_both_halves_and_batches_larger_than_one(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dice, size = random.Random(3), 0
    while size < 3_000:
        count = dice.choice([1, 5, 40, 400])
        log.append(entries(size, count, dice.choice([10, 300])))
        size += count
        if log.wants_force or dice.random() < 0.1:
            log.force()
    root, path = log.seal().root, tmp_path / "log" / "entries" / "000000.jsonl"
    kill(log)
    again = open_log(tmp_path)
    assert (again.size, again.seal().root) == (size, root)
    again.close()
    assert replay(tmp_path / "journal.bin", tmp_path / "log", SIGNER.verifier_key.id, 0) == 0
    assert len(path.read_bytes().splitlines()) == size


def test_a_torn_record_was_never_acknowledged_and_is_passed_over(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(entries(0, 2))
    log.append(entries(2, 2))
    kill(log)
    path = tmp_path / "journal.bin"
    content = bytearray(path.read_bytes())
    place = content.index(b"usg_3")
    content[place] ^= 1
    path.write_bytes(content)
    lines = tmp_path / "log" / "entries" / "000000.jsonl"
    lines.write_bytes(b"")
    again = open_log(tmp_path)
    assert again.size == 2
    again.close()


def test_erasing_leaves_no_byte_in_the_journal(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append([NewEntry("usg_1", "usage", b'{"secret":"4711-0815"}')])
    assert b"4711-0815" in (tmp_path / "journal.bin").read_bytes()
    log.erase(0, "court order 17")
    assert b"4711-0815" not in (tmp_path / "journal.bin").read_bytes()
    log.append(entries(2, 3))
    kill(log)
    again = open_log(tmp_path)
    assert again.reader.entry(0).payload is None
    assert again.size == 5
    again.close()


def test_a_journal_that_cannot_be_written_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "journal.bin", b"mark")
    monkeypatch.setattr(os, "pwritev", lambda *_of: 3)
    with pytest.raises(OSError, match="takes no more"):
        journal.add(0, b"x\n")
    monkeypatch.undo()
    assert journal.filled == 0
    assert not journal.add(0, bytes(module.HALF))
    journal.close()


def test_the_journal_of_another_log_changes_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path / "a")
    log.append(entries(0, 3))
    kill(log)
    other = Signer("test/other", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    first = Log(tmp_path / "b" / "log", other, SystemClock())
    first.append(entries(0, 2, 7))
    first.close()
    shutil.copy(tmp_path / "a" / "journal.bin", tmp_path / "b" / "journal.bin")
    again = Log(tmp_path / "b" / "log", other, SystemClock(), journal=tmp_path / "b" / "journal.bin")
    assert again.size == 2
    again.close()
