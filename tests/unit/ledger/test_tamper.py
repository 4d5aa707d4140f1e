"""The tamper suite: whatever is done to a log, the stand-alone verifier finds it; the untouched log passes each time.

The verifier runs as a regulator runs it, as a copied file, in this process for speed. Two attackers are told apart:
one without the log's key, who can only change files, and one who holds it and can sign whatever he likes. Against the
second a checkpoint that the regulator keeps, or a witness's cosignature, is what helps.
"""

from __future__ import annotations

import importlib.util
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from shuzha.core.clock import SystemClock
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.layout import NewEntry
from shuzha.ledger.log import Log
from shuzha.ledger.verify import __file__ as VERIFIER
from shuzha.ledger.witness import Witness

OpenLog = Callable[[], Log]
ENTRIES = "entries/000000.jsonl"
FILES = (ENTRIES, "hashes.bin", "offsets.bin", "checkpoints", "checkpoint", "cosigned", "public-key")
SIZE = 24
SAMPLED = 60


def numbered(start: int, stop: int, said: str = "call") -> list[NewEntry]:
    return [NewEntry(f"usg_{number}", "usage", b'{"%b":%d}' % (said.encode(), number)) for number in range(start, stop)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The verifier as one copied file that finds nothing of the project beside it."""
    copy = tmp_path_factory.mktemp("alone") / "standalone_verifier.py"
    shutil.copy(VERIFIER, copy)
    spec = importlib.util.spec_from_file_location("standalone_verifier", copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["standalone_verifier"] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Held:
    """A log's folder, and what the regulator holds: its key, the checkpoint of 16 entries, its witness's key."""

    folder: Path
    key: Path
    checkpoint: Path
    witness: Path
    verifier: ModuleType

    def sound(self, *, with_checkpoint: bool = False, with_witness: bool = True) -> bool:
        """Ask the verifier, by its own command line."""
        words = [str(self.folder), "--public-key", str(self.key)]
        words += ["--checkpoint", str(self.checkpoint)] if with_checkpoint else []
        words += ["--witness", str(self.witness)] if with_witness else []
        return bool(self.verifier.main([*words, "--json"]) == 0)


@pytest.fixture
def held(folder: Path, signer: Signer, tmp_path: Path, alone: ModuleType, capsys: pytest.CaptureFixture[str]) -> Held:
    mine = tmp_path / "mine"
    witness = Witness.make(mine, "regulator.example")
    witness.add_log("usage", "https://a.example", signer.verifier_key.line())
    [seen] = witness.logs()
    with Log(folder, signer, SystemClock()) as log:
        log.append(numbered(0, 10))
        log.publish(history=True)
        log.append(numbered(10, 16))
        note = log.publish(history=True)
        witness.cosign(seen, 0, [], note)
        (folder / "cosigned").write_text(seen.note())
        log.append(numbered(16, SIZE - 1))
        log.erase(3, "court order 17")
    (mine / "held").write_text(note)
    (mine / "key").write_text(signer.verifier_key.line() + "\n")
    found = Held(folder, mine / "key", mine / "held", mine / "witness.pub", alone)
    assert found.sound(with_checkpoint=True), capsys.readouterr().out
    return found


def flips(whole: bytes, places: Iterator[int] | range) -> Iterator[tuple[int, bytes]]:
    for place in places:
        mask = (1, 0x20, 0x80, 1 + (place * 37) % 255)[place % 4]
        yield place, whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :]


def check_flips(held: Held, name: str, places: Iterator[int] | range) -> None:
    path = held.folder / name
    whole = path.read_bytes()
    for place, changed in flips(whole, places):
        path.write_bytes(changed)
        assert not held.sound(), f"byte {place} of {name} was changed, and not found"
    path.write_bytes(whole)
    assert held.sound(with_checkpoint=True), "the control: the log as it was is sound"


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_found(held: Held, name: str) -> None:
    size = (held.folder / name).stat().st_size
    check_flips(held, name, iter(sorted(random.Random(name).sample(range(size), min(SAMPLED, size)))))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_flipped_byte_is_found(held: Held, name: str) -> None:
    check_flips(held, name, range((held.folder / name).stat().st_size))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_of_a_stretch_is_found(held: Held, name: str) -> None:
    path = held.folder / name
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            assert not held.sound(), f"bit {bit} of byte {place} of {name} was changed, and not found"
    path.write_bytes(whole)
    assert held.sound()


def changed_orders(lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    for place in range(len(lines)):
        yield f"entry {place} dropped", lines[:place] + lines[place + 1 :]
        yield f"entry {place} twice", lines[: place + 1] + lines[place:]
        yield f"an old entry inserted at {place}", [*lines[:place], lines[0], *lines[place:]]
    for place in range(len(lines) - 1):
        swapped = list(lines)
        swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
        yield f"entries {place} and {place + 1} exchanged", swapped
    yield "the order turned round", lines[::-1]
    yield "nothing left", []


def test_a_dropped_reordered_or_inserted_event_is_found(held: Held) -> None:
    path = held.folder / ENTRIES
    whole = path.read_bytes()
    for what, changed in changed_orders(whole.splitlines(keepends=True)):
        path.write_bytes(b"".join(changed))
        assert not held.sound(with_witness=False), what
    path.write_bytes(whole)
    assert held.sound()


def rewrite(held: Held, signer: Signer, entries: list[NewEntry]) -> None:
    """Write the log anew as the holder of its key can: everything in the folder is consistent and signed."""
    shutil.rmtree(held.folder)
    with Log(held.folder, signer, SystemClock()) as log:
        log.append(entries)
        log.publish(history=True)


REWRITTEN = {
    "truncated": numbered(0, 12),
    "truncated to nothing": [],
    "forked at its beginning": [*numbered(0, 1, "kall"), *numbered(1, SIZE)],
    "forked before what is held": [*numbered(0, 9), *numbered(9, SIZE, "kall")],
    "one event dropped": [*numbered(0, 5), *numbered(6, SIZE)],
    "one event inserted": [*numbered(0, 5), *numbered(90, 91), *numbered(5, SIZE)],
    "two events exchanged": [*numbered(0, 5), *numbered(6, 7), *numbered(5, 6), *numbered(7, SIZE)],
}


@pytest.mark.parametrize("how", REWRITTEN)
def test_a_log_rewritten_by_its_keys_holder_is_found_with_what_the_regulator_holds(
    held: Held, signer: Signer, how: str
) -> None:
    rewrite(held, signer, REWRITTEN[how])
    assert held.sound(with_witness=False), "without a kept checkpoint nobody can tell: this is what it is kept for"
    assert not held.sound(with_checkpoint=True, with_witness=False)


def test_a_log_cut_behind_the_held_checkpoint_is_found_by_a_later_one(held: Held, signer: Signer) -> None:
    shutil.rmtree(held.folder)
    with Log(held.folder, signer, SystemClock()) as log:
        log.append(numbered(0, 16))
        held.checkpoint.write_text(log.publish())
        log.append(numbered(16, SIZE))
        later = log.publish()
    kept = (held.folder / ENTRIES).read_bytes().splitlines(keepends=True)[:20]
    (held.folder / ENTRIES).write_bytes(b"".join(kept))
    for name in ("hashes.bin", "offsets.bin", "checkpoint", "checkpoints"):
        (held.folder / name).unlink()
    with Log(held.folder, signer, SystemClock()):
        pass  # Opened again, it signs the twenty entries that were left.
    assert held.sound(with_checkpoint=True, with_witness=False), "the checkpoint of 16 entries is kept by 20"
    held.checkpoint.write_text(later)
    assert not held.sound(with_checkpoint=True, with_witness=False)


def test_a_fork_cannot_be_given_the_old_cosignatures(held: Held, signer: Signer) -> None:
    cosigned = (held.folder / "cosigned").read_bytes()
    rewrite(held, signer, REWRITTEN["forked before what is held"])
    (held.folder / "cosigned").write_bytes(cosigned)
    assert not held.sound()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_file_is_found(held: Held, name: str) -> None:
    path = held.folder / name
    whole = path.read_bytes()
    for content in (None, b"", whole[: len(whole) // 2], whole[:-1]):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        # A history may end in a torn note, as kill -9 leaves it: the newest note is in `checkpoint`.
        assert not held.sound() or (name == "checkpoints" and content)
        path.write_bytes(whole)
    assert held.sound()
