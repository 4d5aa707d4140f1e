"""Speed of the log on this machine, beside the floor of the same disk: JSON on stdout.

python bench/ledger.py [ENTRIES]
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shuzha.core.clock import SystemClock
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.layout import NewEntry
from shuzha.ledger.log import Log
from shuzha.ledger.tree import Frontier, leaf_hash, verify_inclusion
from shuzha.ledger.verify import verify_folder

PAYLOAD = json.dumps({"product": "370100-DV-0001", "claim": "insured", "answer": "match", "fill": "x" * 300}).encode()


def microseconds_each(act: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    act()
    return round((time.perf_counter() - began) / count * 1e6, 2)


def append_in_batches(log: Log, entries: int, batch: int) -> float:
    items = [NewEntry(f"usg_{number}", "usage", PAYLOAD) for number in range(batch)]

    def run() -> None:
        for _ in range(entries // batch):
            log.append(items)

    return microseconds_each(run, entries // batch * batch)


def bare_file(folder: Path, entries: int, batch: int) -> float:
    handle = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    data = b"x" * (len(PAYLOAD) + 280) * batch

    def run() -> None:
        for _ in range(entries // batch):
            os.write(handle, data)
            os.fdatasync(handle)

    return microseconds_each(run, entries // batch * batch)


def main(entries: int) -> dict[str, object]:
    found: dict[str, object] = {"entries": entries}
    leaves = [leaf_hash(b"%d" % number) for number in range(100_000)]
    frontier = Frontier()
    found["tree_append_us"] = microseconds_each(lambda: frontier.extend(leaves), len(leaves))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        signer = Signer("bench", Ed25519PrivateKey.generate())
        log = Log(folder / "log", signer, SystemClock())
        for batch in (1, 32, 256, 1024):
            count = min(entries, 2_000 * batch)
            found[f"append_us_batch_{batch}"] = append_in_batches(log, count, batch)
            found[f"bare_file_us_batch_{batch}"] = bare_file(folder, count, batch)
        note = log.publish()
        size, root = log.size, signer.verifier_key.verify(note).root
        places = [number * 7919 % size for number in range(1_000)]
        found["size"] = size
        found["inclusion_us"] = microseconds_each(
            lambda: [log.reader.inclusion(place, size) for place in places], 1_000
        )
        found["consistency_us"] = microseconds_each(
            lambda: [log.reader.consistency(place + 1, size) for place in places], 1_000
        )
        proofs = [
            (leaf_hash(log.reader.entry(place).leaf), place, log.reader.inclusion(place, size)) for place in places
        ]
        found["verify_inclusion_us"] = microseconds_each(
            lambda: [verify_inclusion(leaf, place, size, proof, root) for leaf, place, proof in proofs], 1_000
        )
        log.close()
        found["open_ms"] = round(
            microseconds_each(lambda: Log(folder / "log", signer, SystemClock()).close(), 1) / 1_000, 1
        )
        found["verify_us_each"] = microseconds_each(lambda: verify_folder(folder / "log"), size)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000), indent=1) + "\n")
