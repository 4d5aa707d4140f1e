"""The verification index from its raw Delta table, and single lookups beside LMDB in the same run: JSON on stdout.

python bench/index.py [SUBJECTS] [--folder DIR]

SUBJECTS is 1_000_000 where left out; 100_000_000 is the whole bench (about 12 GB of disk, which it gives back). It
builds the index as the job does, looks subjects up in turns with LMDB, changes 1 % of the subjects by a batch, updates
the index while a reader goes on asking, and checks answers against what was generated. LMDB gets the same keys and
values, sorted, appended.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import lmdb
import numpy as np
import polars as pl
from indexing.register import Register

from products.serving import snapshot
from products.serving.places import index_folder
from products.serving.segments import read_segment
from products.serving.snapshot import Snapshot

LOOKUPS, ROUNDS = 200_000, 5
SAMPLE = 20_000


def rss() -> float:
    """Return the most memory that this process ever held, in GB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)


def held() -> float:
    """Return the memory that this process holds now beyond files that it maps, in GB."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition("RssAnon:")[2].split()[0]) / 1e6, 2)


class Peak:
    """Watches the memory of a stretch of work: what is held of its own, without mapped files."""

    def __enter__(self) -> Self:
        self.most, self._end = held(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            self.most = max(self.most, held())


def progress(stage: str, done: int, total: int) -> None:
    """Show how far a build is, on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{stage} {done:,} of {total:,}    ")


def time_of(find: Callable[[bytes], object], keys: list[bytes]) -> float:
    """Return the microseconds of one call, in processor time: others use this machine too."""
    began = time.thread_time()
    for key in keys:
        find(key)
    return (time.thread_time() - began) / len(keys) * 1e6


def copy_to_lmdb(folder: Path, manifest: snapshot.Manifest, path: Path) -> tuple[lmdb.Environment, float]:
    """Return an LMDB of the index's keys and values, appended in order, and the seconds that it took."""
    began, shape = time.perf_counter(), manifest.shape
    environment = lmdb.open(str(path), map_size=64 * manifest.subjects + (1 << 26), writemap=True, sync=False)
    for entry in manifest.segments:
        high, low, bits = read_segment(folder / entry.file, shape)
        keys = np.stack([high, low], axis=1).astype(">u8").tobytes()
        with environment.begin(write=True) as transaction:
            cursor = transaction.cursor()
            items = ((keys[at * 16 : at * 16 + 16], bits[at : at + 1].tobytes()) for at in range(len(high)))
            cursor.putmulti(items, append=True)
    environment.sync(force=True)
    return environment, time.perf_counter() - began


def compare(index: Snapshot, folder: Path, rival: Path) -> dict[str, object]:
    """Return the times of single lookups in both, half of them hits, in turns."""
    environment, seconds = copy_to_lmdb(folder, index.manifest, rival)
    shape, chance = index.manifest.shape, np.random.default_rng(5)
    keys: list[bytes] = []
    for entry in index.manifest.segments:
        high, low, _ = read_segment(folder / entry.file, shape)
        picked = chance.integers(0, len(high), LOOKUPS // 2 // shape.segments + 1)
        words = np.stack([high[picked], low[picked]], axis=1).astype(">u8").tobytes()
        keys += [words[at : at + 16] for at in range(0, len(words), 16)]
    keys += [chance.bytes(16) for _ in range(len(keys))]
    keys = [keys[at] for at in chance.permutation(len(keys)).tolist()]
    ours, theirs = [], []
    with environment.begin() as transaction:
        get = transaction.get
        assert all((index.find(key) < 0) == (get(key) is None) for key in keys[:SAMPLE])
        time_of(index.find, keys), time_of(get, keys)  # both warm
        for _ in range(ROUNDS):
            ours.append(time_of(index.find, keys))
            theirs.append(time_of(get, keys))
    size = (rival / "data.mdb").stat().st_blocks * 512
    found = {
        "lookup_us": round(statistics.median(ours), 3), "lmdb_us": round(statistics.median(theirs), 3),
        "lookup_to_lmdb": round(statistics.median(ours) / statistics.median(theirs), 2),
        "lmdb_bytes_a_subject": round(size / index.count, 2), "lmdb_load_seconds": round(seconds, 1),
    }  # fmt: skip
    environment.close()
    shutil.rmtree(rival)
    return found


class Reader:
    """Asks the old index all the time while it is updated, and holds it to its answers."""

    def __init__(self, index: Snapshot, keys: list[bytes]) -> None:
        self._index, self._keys = index, keys
        self._answers = [index.find(key) for key in keys]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.asked = self.wrong = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._end.wait(0.01):
            found = [self._index.find(key) for key in self._keys]
            self.asked += len(found)
            self.wrong += sum(one != two for one, two in zip(found, self._answers, strict=True))


def run(subjects: int, folder: Path) -> dict[str, object]:
    """Return the figures of one size."""
    register = Register(folder, subjects)
    found: dict[str, object] = {"subjects": subjects, "raw_table_seconds": register.fill()}
    place = index_folder(register.city.folder / "products", register.product)
    with Peak() as memory:
        built = register.build(progress)
    found |= {
        "build_seconds": built.seconds, "built_a_second": round(subjects / built.seconds),
        "bytes_a_subject": round(built.size / built.subjects, 2), "build_held_gb": memory.most, "peak_rss_gb": rss(),
        "segments": len(built.segments),
    }  # fmt: skip
    index = snapshot.open_current(place)
    wrong = register.wrong_answers(index, SAMPLE)
    found |= compare(index, place, folder / "lmdb")
    found["batch_of_1_percent_seconds"] = register.change()
    with Peak() as memory, Reader(index, register.keys(2_000)) as reader:
        updated = register.build(progress)
    found |= {
        "update_seconds": updated.seconds, "update_way": updated.way, "update_rows": updated.changed,
        "update_to_build": round(updated.seconds / built.seconds, 3), "update_held_gb": memory.most,
        "reader_asked": reader.asked, "reader_wrong": reader.wrong,
        "wrong_answers": wrong + register.wrong_answers(snapshot.open_current(place), SAMPLE),
    }  # fmt: skip
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    parser.add_argument("--quick", action="store_true", help="100,000 subjects: for a look, not for a figure")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-index-", dir=options.folder))
    try:
        found = run(100_000 if options.quick else options.subjects, folder)
    finally:
        shutil.rmtree(folder)
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "polars": pl.__version__}
    print(json.dumps({"machine": machine, **found}, indent=1))


if __name__ == "__main__":
    main()
