"""Speed of the log on this machine, beside the floor of the same disk and a rival in the same run: JSON on stdout.

python bench/ledger.py [--entries N] [--tree N] [--quick]

`append` is the whole way of an entry (commitment, leaf, tree, forced to disk) in batches; `tree` the proofs of a tree
of N entries read from its file, by default 10 million; `checkpoints` the seconds between signed checkpoints while
another thread appends without pause. The rival, pymerkle, keeps its tree in memory and runs in an environment of its
own; it is left out where that cannot be made.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.core.clock import SystemClock
from shuzha.ledger import tree
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.layout import HASHES, OFFSETS, PUBLIC_KEY, NewEntry
from shuzha.ledger.log import Log
from shuzha.ledger.reader import LogReader
from shuzha.ledger.tiles import Tile, read_tile
from shuzha.ledger.tree import Frontier, leaf_hash, verify_consistency, verify_inclusion
from shuzha.ledger.verify import verify_folder

sys.path.insert(0, str(Path(__file__).parent))
from running.rivals import Rivals

PAYLOAD = json.dumps({"product": "370100-DV-0001", "claim": "insured", "answer": "match", "fill": "x" * 300}).encode()
ROUNDS = 5
ASKED = 1_000


def microseconds_each(act: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    act()
    return round((time.perf_counter() - began) / count * 1e6, 2)


def median_each(act: Callable[[], object], count: int, rounds: int = ROUNDS) -> float:
    return round(statistics.median(microseconds_each(act, count) for _ in range(rounds)), 2)


def append_in_batches(log: Log, batches: int, batch: int) -> tuple[float, float]:
    items = [NewEntry(f"usg_{number}", "usage", PAYLOAD) for number in range(batch)]

    def run() -> None:
        for _ in range(batches):
            log.append(items)

    began = time.thread_time()
    wall = median_each(run, batches * batch)
    cpu = round((time.thread_time() - began) / (ROUNDS * batches * batch) * 1e6, 2)
    return wall, cpu


def bare_file(folder: Path, batches: int, batch: int) -> float:
    handle = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    data = b"x" * (len(PAYLOAD) + 280) * batch

    def run() -> None:
        for _ in range(batches):
            os.write(handle, data)
            os.fdatasync(handle)

    try:
        return median_each(run, batches * batch)
    finally:
        os.close(handle)


def measure_append(folder: Path, entries: int) -> dict[str, Any]:
    signer = Signer("bench", Ed25519PrivateKey.generate())
    found: dict[str, Any] = {}
    with Log(folder / "log", signer, SystemClock()) as log:
        for batch in (1, 32, 256, 1024, 4096):
            batches = max(2, min(entries // batch, 500) // ROUNDS)
            wall, cpu = append_in_batches(log, batches, batch)
            found |= {f"append_us_batch_{batch}": wall, f"append_cpu_us_batch_{batch}": cpu}
            found[f"bare_file_us_batch_{batch}"] = bare_file(folder, batches, batch)
        found["append_at_most_3_us"] = min(found["append_us_batch_1024"], found["append_us_batch_4096"]) <= 3.0
        size = log.size
    found["size"] = size
    found["open_ms"] = round(
        microseconds_each(lambda: Log(folder / "log", signer, SystemClock()).close(), 1) / 1_000, 1
    )
    found["verify_us_each"] = microseconds_each(lambda: verify_folder(folder / "log"), size)
    return found


def measure_tree(folder: Path, entries: int) -> dict[str, Any]:
    """Proofs of a tree of so many leaves, read from `hashes.bin` as any process reads it."""
    log = folder / "tree"
    log.mkdir()
    key = Signer("bench", Ed25519PrivateKey.generate()).verifier_key
    (log / PUBLIC_KEY).write_text(key.line() + "\n")
    (log / OFFSETS).touch()
    frontier, made = Frontier(), 0
    began = time.perf_counter()
    with (log / HASHES).open("wb") as file:
        while made < entries:
            stop = min(entries, made + 100_000)
            file.write(frontier.extend(leaf_hash(b"%d" % number) for number in range(made, stop)))
            made = stop
    found: dict[str, Any] = {
        "entries": entries,
        "build_us_each": round((time.perf_counter() - began) / entries * 1e6, 2),
    }
    reader = LogReader(log)
    root = reader.root(entries)
    places = [number * 7_919_777 % entries for number in range(ASKED)]
    proofs = [(place, reader.inclusion(place, entries)) for place in places]
    assert all(verify_inclusion(leaf_hash(b"%d" % place), place, entries, proof, root) for place, proof in proofs)
    first = places[1] + 1
    assert verify_consistency(first, entries, reader.root(first), root, reader.consistency(first, entries))
    found["inclusion_us"] = median_each(lambda: [reader.inclusion(place, entries) for place in places], ASKED)
    found["consistency_us"] = median_each(lambda: [reader.consistency(one + 1, entries) for one in places], ASKED)
    found["verify_inclusion_us"] = median_each(
        lambda: [verify_inclusion(leaf_hash(b"%d" % one), one, entries, proof, root) for one, proof in proofs], ASKED
    )
    tiles = [Tile(0, number * 77 % (entries // 256)) for number in range(200)]
    found["tile_of_leaves_us"] = median_each(lambda: [read_tile(reader, one, entries) for one in tiles], len(tiles))
    reader.close()
    found["rival"] = measure_rival(min(entries, 1_000_000))
    return found


RIVAL = """
import json, statistics, sys, time
from pymerkle import InmemoryTree
entries = int(sys.argv[1])
data = [b"%d" % number for number in range(entries)]
tree = InmemoryTree(algorithm="sha256")
def each(act, count):
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) / count * 1e6
found = {"append_us": each(lambda: [tree.append_entry(one) for one in data], entries)}
asked = range(1, 201)
found["inclusion_us"] = statistics.median(
    each(lambda: [tree.prove_inclusion(one, entries) for one in asked], 200) for _ in range(5))
found["consistency_us"] = statistics.median(
    each(lambda: [tree.prove_consistency(one, entries) for one in asked], 200) for _ in range(5))
print(json.dumps({name: round(value, 2) for name, value in found.items()}))
"""


def measure_rival(entries: int) -> dict[str, Any]:
    """Both trees in memory, one after the other: pymerkle in an environment of its own, ours here."""
    own = tree.MerkleTree()
    data = [b"%d" % number for number in range(entries)]
    asked = range(1, 201)
    ours = {
        "append_us": microseconds_each(lambda: [own.append(one) for one in data], entries),
        "inclusion_us": median_each(lambda: [own.inclusion(one, entries) for one in asked], 200),
        "consistency_us": median_each(lambda: [own.consistency(one, entries) for one in asked], 200),
    }
    found: dict[str, Any] = {"entries": entries, "own": ours}
    try:
        rival = Rivals(Path(__file__).parent / "proving").run("pymerkle", RIVAL, str(entries))
    except (OSError, subprocess.CalledProcessError) as error:
        return found | {"pymerkle": f"left out: {type(error).__name__}"}
    times = {f"times_faster_{name}": round(rival[name] / value, 1) for name, value in ours.items()}
    return found | {"pymerkle": rival} | times


def measure_checkpoints(folder: Path, seconds: float) -> dict[str, Any]:
    """The seconds between checkpoints that are signed beside a thread that appends without a pause."""
    signer = Signer("bench", Ed25519PrivateKey.generate())
    items = [NewEntry(f"usg_{number}", "usage", PAYLOAD) for number in range(64)]
    done = threading.Event()
    with Log(folder / "load", signer, SystemClock()) as log:

        def load() -> None:
            while not done.is_set():
                log.append(items)

        loading = threading.Thread(target=load)
        loading.start()
        moments, cost = [time.monotonic()], []
        while moments[-1] - moments[0] < seconds:
            time.sleep(max(0.0, moments[0] + len(moments) - time.monotonic()))
            began = time.perf_counter()
            log.publish()
            cost.append((time.perf_counter() - began) * 1e3)
            moments.append(time.monotonic())
        done.set()
        loading.join()
        size = log.size
    gaps = [later - sooner for sooner, later in pairwise(moments)]
    return {
        "seconds": round(moments[-1] - moments[0], 1),
        "entries_a_second": round(size / (moments[-1] - moments[0])),
        "spacing_s_median": round(statistics.median(gaps), 3),
        "spacing_s_longest": round(max(gaps), 3),
        "signing_ms_median": round(statistics.median(cost), 2),
    }


def main(arguments: list[str] | None = None) -> dict[str, object]:
    parser = argparse.ArgumentParser(description="Measure the log.")
    parser.add_argument("--entries", type=int, default=500_000, help="entries to append, at most so many a batch size")
    parser.add_argument("--tree", type=int, default=10_000_000, help="entries of the tree whose proofs are measured")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long checkpoints are watched")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    options = parser.parse_args(arguments)
    if options.quick:
        options.entries, options.tree, options.seconds = 50_000, 1_000_000, 4.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            "quick": options.quick,
            "append": measure_append(folder, options.entries),
            "tree": measure_tree(folder, options.tree),
            "checkpoints": measure_checkpoints(folder, options.seconds),
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(), indent=1) + "\n")
