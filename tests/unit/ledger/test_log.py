"""The owner's side: what is appended is there, proved, erasable, and survives any end of the process."""

from __future__ import annotations

import datetime as dt
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.core.clock import FixedClock
from shuzha.core.errors import Conflict, Invalid, NotFound, Unavailable
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.layout import ENTRIES_PER_FILE, NewEntry
from shuzha.ledger.log import Log, Seal
from shuzha.ledger.reader import LogReader
from shuzha.ledger.tree import leaf_hash, verify_consistency, verify_inclusion
from shuzha.ledger.verify import verify_folder

NOON = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)
OpenLog = Callable[[], Log]


def numbered(start: int, stop: int) -> list[NewEntry]:
    return [NewEntry(f"usg_{number}", "usage", b'{"call":%d}' % number) for number in range(start, stop)]


def kill(log: Log) -> None:
    """End a log as kill -9 does: nothing more is written, the lock is gone."""
    os.close(log._lock)


def test_append_gives_indexes_in_order_and_entries_read_back(open_log: OpenLog) -> None:
    with open_log() as log:
        assert [log.append(numbered(0, 3)), log.append(numbered(3, 5))] == [0, 3]
        entries = list(log.reader.entries())
        assert [entry.index for entry in entries] == [0, 1, 2, 3, 4]
        assert log.reader.entry(4).payload == b'{"call":4}'
        assert log.reader.entry(4).header.id == "usg_4"
        assert log.reader.entry(4).header.at == "2026-11-22T04:00:00.000000Z"
        with pytest.raises(NotFound, match="no entry 5"):
            log.reader.entry(5)


def test_equal_payloads_have_different_leaves(open_log: OpenLog) -> None:
    with open_log() as log:
        log.append([NewEntry("a", "usage", b"{}"), NewEntry("b", "usage", b"{}")])
        first, second = (entry.header.commitment for entry in log.reader.entries())
        assert first != second


def test_every_entry_and_every_older_log_is_proved_against_the_checkpoint(open_log: OpenLog, signer: Signer) -> None:
    with open_log() as log:
        for number in range(20):
            log.append(numbered(number, number + 1))
        checkpoint = signer.verifier_key.verify(log.publish())
        for index in range(20):
            proof = log.reader.proof(index)
            leaf = leaf_hash(proof.entry.leaf)
            assert verify_inclusion(leaf, index, checkpoint.size, proof.hashes, checkpoint.root)
        for size in range(1, 21):
            path = log.reader.consistency(size, 20)
            assert verify_consistency(size, 20, log.reader.root(size), checkpoint.root, path)


def test_proof_waits_for_a_checkpoint(open_log: OpenLog) -> None:
    with open_log() as log:
        log.append(numbered(0, 1))
        with pytest.raises(Unavailable, match="entry 0 awaits its checkpoint"):
            log.reader.proof(0)
        with pytest.raises(NotFound):
            log.reader.proof(1)
        with pytest.raises(Invalid, match="0 < first"):
            log.reader.consistency(2, 1)


def test_append_refuses_bad_entries_and_stores_none(open_log: OpenLog) -> None:
    with open_log() as log:
        good = NewEntry("ok", "usage", b"{}")
        for bad in (
            NewEntry("a b", "usage", b"{}"),
            NewEntry("a", "usage\t", b"{}"),
            NewEntry("a", "usage", b"{\n}"),
            NewEntry("a", "usage", b""),
            NewEntry("a", "usage", b'"' + b"x" * 70_000 + b'"'),
        ):
            with pytest.raises(Invalid):
                log.append([good, bad])
        assert log.size == 0


def test_open_refuses_a_folder_that_is_open_already(open_log: OpenLog) -> None:
    with open_log(), pytest.raises(Conflict, match="open in another process"):
        open_log()
    open_log().close()


def test_open_refuses_another_key(open_log: OpenLog, folder: Path) -> None:
    open_log().close()
    other = Signer("city.example/usage", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    with pytest.raises(Invalid, match="another key"):
        Log(folder, other, FixedClock(NOON))
    open_log().close()


def test_reopened_log_goes_on_where_it_ended(open_log: OpenLog, folder: Path) -> None:
    with open_log() as log:
        log.append(numbered(0, 7))
    with open_log() as log:
        assert log.append(numbered(7, 11)) == 7
    report = verify_folder(folder)
    assert (report.sound, report.size, report.signed_size) == (True, 11, 11)


@pytest.mark.parametrize("published", [0, 4, 9])
@pytest.mark.parametrize("cut", [0, 1, 40, 300])
def test_open_after_a_kill_keeps_every_whole_entry(open_log: OpenLog, folder: Path, published: int, cut: int) -> None:
    log = open_log()
    log.append(numbered(0, published))
    log.publish()
    log.append(numbered(published, 10))
    kill(log)
    entries = folder / "entries" / "000000.jsonl"
    with entries.open("ab") as file:
        line = entries.read_bytes().splitlines(keepends=True)[-1]
        file.write(line[:-1][:cut])
    for derived in ("hashes.bin", "offsets.bin"):
        # Derived files may hold anything behind the newest checkpoint.
        with (folder / derived).open("ab") as file:
            file.write(b"\0" * cut)
    with open_log() as reopened:
        assert reopened.size == 10
        reopened.append(numbered(10, 12))
    report = verify_folder(folder)
    assert (report.faults, report.size) == ([], 12)


def test_open_rebuilds_lost_derived_files(open_log: OpenLog, folder: Path) -> None:
    with open_log() as log:
        log.append(numbered(0, 50))
        root = log.reader.root(50)
    (folder / "hashes.bin").unlink()
    (folder / "offsets.bin").write_bytes(b"garbage!")
    with open_log() as log:
        assert log.reader.root(50) == root
        assert log.reader.entry(49).header.id == "usg_49"


def test_open_refuses_a_log_that_was_cut_behind_its_checkpoint(open_log: OpenLog, folder: Path) -> None:
    with open_log() as log:
        log.append(numbered(0, 6))
    entries = folder / "entries" / "000000.jsonl"
    entries.write_bytes(b"".join(entries.read_bytes().splitlines(keepends=True)[:4]))
    with pytest.raises(Invalid, match="ends before entry 5, which its signed checkpoint covers"):
        open_log()


def test_open_refuses_a_log_that_was_cut_with_all_that_follows_from_it(open_log: OpenLog, folder: Path) -> None:
    with open_log() as log:
        log.append(numbered(0, 6))
    entries = folder / "entries" / "000000.jsonl"
    entries.write_bytes(b"".join(entries.read_bytes().splitlines(keepends=True)[:4]))
    (folder / "offsets.bin").write_bytes((folder / "offsets.bin").read_bytes()[:32])
    with pytest.raises(Invalid, match="has 4 entries, its signed checkpoint says 6: the last 2 were removed"):
        open_log()


def test_open_refuses_a_damaged_entry_behind_the_checkpoint(open_log: OpenLog, folder: Path) -> None:
    log = open_log()
    log.append(numbered(0, 6))
    kill(log)
    entries = folder / "entries" / "000000.jsonl"
    entries.write_bytes(entries.read_bytes().replace(b'"call":3', b'"call":8'))
    with pytest.raises(Invalid, match="damaged at entry 3"):
        open_log()


def test_open_cuts_a_torn_note_from_the_history(open_log: OpenLog, folder: Path) -> None:
    with open_log() as log:
        log.append(numbered(0, 3))
    history = (folder / "checkpoints").read_bytes()
    for torn in (b"city.exa", b"city.example/usage\n", b"city.example/usage\n3\nabc\n\n\xe2\x80\x94 ci"):
        (folder / "checkpoints").write_bytes(history + torn)
        open_log().close()
        assert verify_folder(folder).sound


def test_erase_removes_the_payload_and_breaks_no_proof(open_log: OpenLog, folder: Path) -> None:
    with open_log() as log:
        log.append(numbered(0, 5))
        before = log.reader.root(5)
        assert log.erase(2, "court order 17") == 5
        assert log.reader.root(5) == before
        assert log.reader.entry(2).payload is None
        assert [entry.payload for entry in log.reader.entries(3, 5)] == [b'{"call":3}', b'{"call":4}']
        log.append(numbered(6, 8))
        assert log.reader.proof(2).entry.header.id == "usg_2"
        with pytest.raises(Invalid, match="cannot erase entry 5"):
            log.erase(5, "no")
    assert b'"call":2' not in (folder / "entries" / "000000.jsonl").read_bytes()
    report = verify_folder(folder)
    assert (report.faults, report.erased, report.size) == ([], 1, 8)


def test_erase_is_finished_after_a_kill(open_log: OpenLog, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log()
    log.append(numbered(0, 5))
    log.publish()
    whole = (folder / "entries" / "000000.jsonl").read_bytes()
    checkpoint = (folder / "checkpoint").read_bytes()
    log.erase(1, "court order 17")
    kill(log)
    said = (folder / "entries" / "000000.jsonl").read_bytes().splitlines(keepends=True)[-1]
    (folder / "entries" / "000000.jsonl").write_bytes(whole + said)
    (folder / "checkpoint").write_bytes(checkpoint)
    with open_log() as reopened:
        assert reopened.reader.entry(1).payload is None


def test_append_crosses_files(open_log: OpenLog, folder: Path) -> None:
    with open_log() as log:
        log.append(numbered(0, ENTRIES_PER_FILE - 2))
        assert log.append(numbered(0, 5)) == ENTRIES_PER_FILE - 2
        assert log.reader.entry(ENTRIES_PER_FILE).header.id == "usg_2"
        assert [entry.index for entry in log.reader.entries(ENTRIES_PER_FILE - 1)] == [
            ENTRIES_PER_FILE - 1, ENTRIES_PER_FILE, ENTRIES_PER_FILE + 1, ENTRIES_PER_FILE + 2,
        ]  # fmt: skip
    with open_log() as log:
        assert log.append(numbered(9, 10)) == ENTRIES_PER_FILE + 3
    assert sorted(path.name for path in (folder / "entries").iterdir()) == ["000000.jsonl", "000001.jsonl"]
    assert verify_folder(folder).faults == []


def test_reader_refuses_a_folder_without_a_log(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no log in folder"):
        LogReader(tmp_path)


def test_append_refuses_one_bad_entry_among_many_and_stores_none(open_log: OpenLog) -> None:
    good = numbered(0, 5)
    with open_log() as log:
        for bad in (
            NewEntry("usg_\nusg_9", "usage", b"{}"), NewEntry("", "usage", b"{}"), NewEntry("usg_9", "a b", b"{}"),
            NewEntry("usg_9", "usage", b""), NewEntry("usg_9", "usage", b"{\t}"), NewEntry("usg_9", "usage", b"{\n}"),
            NewEntry("usg_9", "usage", b" " * 65_537),
        ):  # fmt: skip
            with pytest.raises(Invalid):
                log.append([*good, bad, *good])
        assert log.size == 0
        assert log.append([*good, NewEntry("usg_9", "usage", b" " * 65_536)]) == 0
        assert log.append([]) == 6


def test_a_seal_from_another_thread_is_never_of_half_an_append(open_log: OpenLog, signer: Signer) -> None:
    done, interval = threading.Event(), sys.getswitchinterval()

    def seal(log: Log) -> set[Seal]:
        found = set()
        while not done.is_set():
            found.add(log.seal())
        return found

    sys.setswitchinterval(1e-6)
    try:
        with open_log() as log, ThreadPoolExecutor(1) as other:
            sealing = other.submit(seal, log)
            for _ in range(30):
                log.append(numbered(log.size, log.size + 333))
            done.set()
            assert len(sealing.result()) > 1
            assert all(one.root == log.reader.root(one.size) for one in sealing.result())
    finally:
        done.set()
        sys.setswitchinterval(interval)


def test_a_seal_is_signed_while_more_is_appended(open_log: OpenLog, signer: Signer, folder: Path) -> None:
    with open_log() as log:
        log.append(numbered(0, 3))
        seal = log.seal()
        log.append(numbered(3, 5))
        checkpoint = signer.verifier_key.verify(log.sign(seal))
        assert (checkpoint.size, checkpoint.root) == (3, log.reader.root(3))
        newer = log.publish()
        assert signer.verifier_key.verify(newer).size == 5
        assert log.sign(seal) == newer, "a seal that was overtaken puts nothing older in the newest checkpoint's place"
    assert verify_folder(folder).faults == []
