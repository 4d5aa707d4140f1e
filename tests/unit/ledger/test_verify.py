"""The stand-alone verifier: it finds every changed byte and says where; it needs nothing of the project."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.core.clock import FixedClock
from shuzha.ledger import verify
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.layout import NewEntry
from shuzha.ledger.log import Log
from shuzha.ledger.verify import BadInput, ed25519_valid_in_python, main, verify_folder

NOON = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)
OpenLog = Callable[[], Log]
ENTRIES = "entries/000000.jsonl"
FILES = (ENTRIES, "hashes.bin", "offsets.bin", "checkpoints", "checkpoint", "public-key")


def numbered(start: int, stop: int) -> list[NewEntry]:
    return [NewEntry(f"usg_{number}", "usage", b'{"call":%d}' % number) for number in range(start, stop)]


@pytest.fixture
def log_folder(open_log: OpenLog, folder: Path) -> Path:
    with open_log() as log:
        log.append(numbered(0, 4))
        log.publish(history=True)
        log.append(numbered(4, 7))
        log.erase(1, "court order 17")
    return folder


def entry_of(log_folder: Path, place: int) -> int:
    """Return the entry in whose line this byte of the entries file stands."""
    return (log_folder / ENTRIES).read_bytes()[:place].count(b"\n")


def changed_bytes(whole: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the file with each of its bytes changed: a bit, the case of a letter, or some other byte."""
    for place in range(len(whole)):
        mask = (1, 0x20, 1 + (place * 37) % 255)[place % 3]
        yield place, whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :]


def test_verify_finds_a_sound_log_sound(log_folder: Path) -> None:
    report = verify_folder(log_folder)
    assert (report.faults, report.size, report.signed_size, report.erased) == ([], 8, 8, 1)
    assert report.origin == "city.example/usage"


@pytest.mark.parametrize("name", FILES)
def test_verify_finds_every_changed_byte(log_folder: Path, name: str) -> None:
    whole = (log_folder / name).read_bytes()
    for place, changed in changed_bytes(whole):
        (log_folder / name).write_bytes(changed)
        report = verify_folder(log_folder)
        assert not report.sound, f"byte {place} of {name} was changed and not found"
        if name == ENTRIES:
            wanted = whole[:place].count(b"\n")
            assert report.faults[0].index == wanted, (place, [str(fault) for fault in report.faults])


def test_verify_names_the_entry_and_what_differs(log_folder: Path) -> None:
    entries = (log_folder / ENTRIES).read_bytes()
    (log_folder / ENTRIES).write_bytes(entries.replace(b'"call":5', b'"call":6'))
    assert [str(fault) for fault in verify_folder(log_folder).faults] == [
        "entry 5 (usg_5): its salt and payload do not give the commitment in its header"
    ]


def test_verify_names_the_entry_of_a_changed_leaf_hash(log_folder: Path) -> None:
    hashes = bytearray((log_folder / "hashes.bin").read_bytes())
    hashes[32 * 3 + 7] ^= 4  # Post-order: leaf 0, leaf 1, node (1, 0), leaf 2.
    (log_folder / "hashes.bin").write_bytes(hashes)
    fault = verify_folder(log_folder).faults[0]
    assert str(fault) == "entry 2 (usg_2): its header does not give the leaf hash in hashes.bin"


def test_verify_names_a_changed_checkpoint(log_folder: Path) -> None:
    note = (log_folder / "checkpoint").read_text()
    (log_folder / "checkpoint").write_text(note.replace("\n8\n", "\n7\n"))
    assert "checkpoint of size 7 is refused: its signature is not valid" in str(verify_folder(log_folder).faults[0])


def test_verify_finds_entries_dropped_reordered_and_inserted(log_folder: Path) -> None:
    lines = (log_folder / ENTRIES).read_bytes().splitlines(keepends=True)
    for changed in (
        lines[:3] + lines[4:],
        lines[:-1],
        lines[1:],
        [*lines, lines[-1]],
        [lines[1], lines[0], *lines[2:]],
    ):
        (log_folder / ENTRIES).write_bytes(b"".join(changed))
        assert not verify_folder(log_folder).sound
    (log_folder / ENTRIES).write_bytes(b"".join(lines[:3] + lines[4:]))
    assert "entry 3: is missing" in str(verify_folder(log_folder).faults[0])


def test_verify_finds_a_payload_that_is_gone_without_a_word(log_folder: Path) -> None:
    lines = (log_folder / ENTRIES).read_bytes().splitlines(keepends=True)
    header = lines[4].partition(b"\t")[0]
    lines[4] = header + b"\t" + b"-".ljust(len(lines[4]) - len(header) - 2) + b"\n"
    (log_folder / ENTRIES).write_bytes(b"".join(lines))
    fault = verify_folder(log_folder).faults[0]
    assert (fault.index, fault.id) == (4, "usg_4")
    assert "no entry of the log says that it was erased" in fault.what


def rewrite(folder: Path, signer: Signer, count: int, last: bytes) -> None:
    """Write a log anew with the log's own key, as a dishonest operator could."""
    shutil.rmtree(folder)
    with Log(folder, signer, FixedClock(NOON)) as log:
        log.append([*numbered(0, count - 1), NewEntry("usg_forged", "usage", last)])


def test_verify_finds_a_cut_log_by_the_checkpoint_that_the_regulator_holds(
    log_folder: Path, signer: Signer, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    shutil.copy(log_folder / "checkpoint", held)
    assert verify_folder(log_folder, held).sound
    rewrite(log_folder, signer, 5, b"{}")
    assert verify_folder(log_folder).sound
    [fault] = verify_folder(log_folder, held).faults
    assert "signs 8 entries, the folder has 5: entries 5 to 7 are missing" in str(fault)


def test_verify_finds_a_forked_log_by_the_checkpoint_that_the_regulator_holds(
    log_folder: Path, signer: Signer, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    shutil.copy(log_folder / "checkpoint", held)
    rewrite(log_folder, signer, 9, b"{}")
    [fault] = verify_folder(log_folder, held).faults
    assert "the entries do not give the signed root of size 8" in str(fault)


def test_verify_refuses_a_log_of_another_key_than_the_one_held(
    log_folder: Path, signer: Signer, tmp_path: Path
) -> None:
    held = tmp_path / "key"
    held.write_text(signer.verifier_key.line() + "\n")
    assert verify_folder(log_folder, held_key=held).sound
    rewrite(log_folder, Signer(signer.origin, Ed25519PrivateKey.from_private_bytes(bytes(32))), 3, b"{}")
    assert not verify_folder(log_folder, held_key=held).sound


def test_verify_bears_what_a_killed_writer_leaves(open_log: OpenLog, folder: Path) -> None:
    log = open_log()
    log.append(numbered(0, 4))
    log.publish()
    log.append(numbered(4, 6))
    os.close(log._lock)
    with (folder / ENTRIES).open("ab") as file:
        file.write(b'{"index":6,"id":"usg_6","kind":"usa')
    (folder / "hashes.bin").write_bytes((folder / "hashes.bin").read_bytes()[: 32 * 8])
    report = verify_folder(folder)
    assert (report.faults, report.size, report.signed_size) == ([], 6, 4)
    assert "35 bytes behind entry 5 are no whole entry" in report.notes[-1]


def test_verify_finds_changed_bytes_behind_the_newest_checkpoint(open_log: OpenLog, folder: Path) -> None:
    log = open_log()
    log.append(numbered(0, 3))
    log.publish()
    log.append(numbered(3, 5))
    os.close(log._lock)
    whole = (folder / ENTRIES).read_bytes()
    uncovered = whole.index(b'{"index":3')
    for place, changed in changed_bytes(whole):
        if place >= uncovered:
            (folder / ENTRIES).write_bytes(changed)
            assert not verify_folder(folder).sound, place


def test_verify_names_missing_and_damaged_files(log_folder: Path) -> None:
    for name in ("hashes.bin", "offsets.bin", "checkpoint", "checkpoints", "public-key"):
        kept = (log_folder / name).read_bytes()
        (log_folder / name).unlink()
        assert any(name in str(fault) for fault in verify_folder(log_folder).faults)
        (log_folder / name).write_bytes(kept)
    (log_folder / "hashes.bin").write_bytes((log_folder / "hashes.bin").read_bytes()[:-32])
    assert "hashes.bin or offsets.bin ends before entry 7" in str(verify_folder(log_folder).faults[-1])


def test_verify_refuses_what_is_no_log(tmp_path: Path, log_folder: Path) -> None:
    with pytest.raises(BadInput, match="not a log folder"):
        verify_folder(tmp_path / "nothing")
    with pytest.raises(BadInput, match="cannot be read"):
        verify_folder(log_folder, tmp_path / "nothing")
    (tmp_path / "held").write_text("no checkpoint")
    with pytest.raises(BadInput, match="not a checkpoint"):
        verify_folder(log_folder, tmp_path / "held")
    with pytest.raises(BadInput, match="not a verifier key"):
        verify_folder(log_folder, held_key=tmp_path / "held")


def test_command_ends_with_the_code_of_what_it_found(log_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(log_folder)]) == 0
    assert capsys.readouterr().out.endswith("sound\n")
    assert main([str(log_folder / "entries"), "--json"]) == 2
    assert "not a log folder" in capsys.readouterr().err
    assert main([]) == 2
    entries = (log_folder / ENTRIES).read_bytes()
    (log_folder / ENTRIES).write_bytes(entries.replace(b'"call":5', b'"call":6'))
    assert main([str(log_folder)]) == 1
    assert "refused: entry 5 (usg_5)" in capsys.readouterr().out
    assert main([str(log_folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["index"] == 5


def test_verifier_runs_alone_without_the_project_or_any_package(log_folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(verify.__file__, alone / "verify.py")
    command = [sys.executable, "-I", "-S", str(alone / "verify.py"), str(log_folder)]
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "sound")
    note = (log_folder / "checkpoint").read_text()
    (log_folder / "checkpoint").write_text(note[:-10] + "AAAA" + note[-6:])
    done = subprocess.run(command, cwd=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 1


def test_proof_of_one_entry_is_verified_alone(open_log: OpenLog, signer: Signer, tmp_path: Path) -> None:
    with open_log() as log:
        log.append(numbered(0, 11))
        log.publish()
        documents = [log.reader.proof(index).document() for index in range(11)]
    key, proof = tmp_path / "key", tmp_path / "proof.json"
    key.write_text(signer.verifier_key.line() + "\n")
    for document in documents:
        proof.write_text(json.dumps(document))
        assert main(["--proof", str(proof), "--public-key", str(key)]) == 0
        for field, other in (
            ("index", document["index"] + 1),
            ("leaf", document["leaf"].replace("usg_", "usr_")),
            ("body", document["body"].replace("call", "kall")),
            ("hashes", document["hashes"][1:]),
            ("checkpoint", document["checkpoint"].replace("\n11\n", "\n12\n")),
        ):
            proof.write_text(json.dumps({**document, field: other}))
            assert main(["--proof", str(proof), "--public-key", str(key)]) == 1, field
    proof.write_text("{}")
    assert main(["--proof", str(proof), "--public-key", str(key)]) == 2


def test_plain_python_signatures_agree_with_the_library() -> None:
    for number in range(6):
        key = Ed25519PrivateKey.from_private_bytes(sha256(b"%d" % number).digest())
        public, message = key.public_key().public_bytes_raw(), b"message %d" % number
        signature = key.sign(message)
        assert ed25519_valid_in_python(public, signature, message)
        assert not ed25519_valid_in_python(public, signature, message + b"!")
        for place in (0, 31, 32, 63):
            changed = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
            assert not ed25519_valid_in_python(public, changed, message)
        # The same signature plus the group's order is refused, or a note would have two texts.
        s = int.from_bytes(signature[32:], "little") + verify.L
        assert not ed25519_valid_in_python(public, signature[:32] + s.to_bytes(32, "little"), message)
    assert not ed25519_valid_in_python(bytes(31), bytes(64), b"")


def test_plain_python_signatures_pass_rfc_8032() -> None:
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert ed25519_valid_in_python(bytes.fromhex(public), bytes.fromhex(signature), b"")


def test_history_is_split_into_its_notes(signer: Signer) -> None:
    notes = [signer.sign(size, bytes(32)) for size in range(4)]
    assert list(verify.split_notes("".join(notes))) == notes
    assert list(itertools.islice(verify.split_notes(""), 1)) == []
