"""Acknowledged events a second: group commit beside one commit an event and beside PostgreSQL, on one core. JSON.

python bench/metering.py [--quick]

The writer's process has one core, the callers the other; every way acknowledges what is on disk. `slow_disk` is the
same with every forced write 3 ms longer, by a library that stands before the C library's (built here with `cc`).
`dedupe` is the time of a group of repeats and of new events while the table grows to ten million events.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from running.rivals import Rivals
from verifying.stand import HERE, LOAD_CORE, SERVER_CORE, postgres

from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.ledger.checkpoint import Signer
from shuzha.metering.client import UsageClient
from shuzha.metering.events import Point, Series
from shuzha.metering.table import UsageTable
from shuzha.metering.writer import open_store

SERIES = Series(
    kind="verification", key_id="key_1", consumer="org_bank", product="prd_1", authorization="aut_1",
    policy_version="0123456789abcdef", claim="insured", purpose="loan-review", price=120, waived=False,
)  # fmt: skip
SLOW = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <sys/types.h>
#include <sys/uio.h>
static void wait3(void) { struct timespec t = {0, 3000000}; nanosleep(&t, 0); }
int fsync(int fd) { static int (*real)(int); if (!real) real = dlsym(RTLD_NEXT, "fsync"); wait3(); return real(fd); }
int fdatasync(int fd) {
    static int (*real)(int); if (!real) real = dlsym(RTLD_NEXT, "fdatasync"); wait3(); return real(fd); }
/* The journal's forced writes are those of several parts: nothing else of the writer uses them. */
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) {
    static ssize_t (*real)(int, const struct iovec *, int, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwritev"); wait3(); return real(fd, v, n, at); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) {
    static ssize_t (*real)(int, const struct iovec *, int, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwritev64"); wait3(); return real(fd, v, n, at); }
ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int f) {
    static ssize_t (*real)(int, const struct iovec *, int, off_t, int);
    if (!real) real = dlsym(RTLD_NEXT, "pwritev2"); wait3(); return real(fd, v, n, at, f); }
ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t at, int f) {
    static ssize_t (*real)(int, const struct iovec *, int, off64_t, int);
    if (!real) real = dlsym(RTLD_NEXT, "pwritev64v2"); wait3(); return real(fd, v, n, at, f); }
"""
ONE_EACH = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
for one in ("journal_mode=WAL", "synchronous=FULL"): database.execute("PRAGMA " + one)
database.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, body TEXT)")
end, count = time.perf_counter() + float(sys.argv[2]), 0
while time.perf_counter() < end:
    database.execute("INSERT INTO events VALUES (?, ?)", (f"{time.time_ns():020d}", "x" * 300))
    count += 1
print(count / float(sys.argv[2]))
"""
POSTGRES = """
import asyncio, asyncpg, sys, time, uuid
async def main(dsn, callers, seconds):
    pool, count = await asyncpg.create_pool(dsn, min_size=callers, max_size=callers), 0
    await pool.execute("CREATE TABLE IF NOT EXISTS single (id uuid PRIMARY KEY, body text)")
    end = time.perf_counter() + seconds
    async def call():
        nonlocal count
        while time.perf_counter() < end:
            await pool.execute("INSERT INTO single VALUES ($1, $2) ON CONFLICT DO NOTHING", uuid.uuid4(), "x" * 300)
            count += 1
    await asyncio.gather(*(call() for _ in range(callers)))
    print(count / seconds)
asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
"""


def point(key: str = "") -> Point:
    """Return a use as the API sends one."""
    usage_id = new_id("usg")
    answer = f'{{"result":"match","usage_id":"{usage_id}"}}'
    return Point(usage_id, answer, time.time_ns() // 1000, key, "", "c" * 40)


async def through_the_writer(socket: Path, callers: int, seconds: float) -> dict[str, float]:
    """Return what callers get who each wait for the disk before they send the next one."""
    client, taken = UsageClient(socket), []
    end = time.perf_counter() + seconds

    async def call() -> None:
        while (began := time.perf_counter()) < end:
            await client.record_points([(SERIES, point())])
            taken.append(time.perf_counter() - began)

    await asyncio.gather(*(call() for _ in range(callers)))
    client.close()
    taken.sort()
    return {
        "per_second": round(len(taken) / seconds),
        "p50_ms": round(taken[len(taken) // 2] * 1e3, 2),
        "p99_ms": round(taken[len(taken) * 99 // 100] * 1e3, 2),
    }


class Meters:
    """The ways to meter, each with its process on the servers' core."""

    def __init__(self, folder: Path, seconds: float, preload: str = "") -> None:
        self.folder = folder
        self.seconds = seconds
        self.environment = {**os.environ, **({"LD_PRELOAD": preload} if preload else {})}

    def writer(self, callers: tuple[int, ...]) -> dict[str, Any]:
        """Return the writer's rates."""
        data = self.folder / "writer"
        KeyRing.create(data / "keys")
        writer = subprocess.Popen(
            [*SERVER_CORE, sys.executable, "-m", "shuzha.metering.writer", "--dir", data],
            stderr=subprocess.DEVNULL, env=self.environment,
        )  # fmt: skip
        socket = data / "run" / "usage.sock"
        while not socket.exists():
            time.sleep(0.01)
        try:
            return {str(count): asyncio.run(through_the_writer(socket, count, self.seconds)) for count in callers}
        finally:
            writer.terminate()
            writer.wait()

    def one_each(self) -> float:
        """Return the rate of one SQLite commit an event."""
        command = [*SERVER_CORE, sys.executable, "-c", ONE_EACH, self.folder / "each.db", str(self.seconds)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=self.environment)
        return round(float(done.stdout))

    def single_inserts(self, dsn: str, callers: int) -> float:
        """Return the rate of PostgreSQL's single inserts over so many connections."""
        python = Rivals(HERE).python_of("fastapi-postgres")
        command = [*LOAD_CORE, python, "-c", POSTGRES, dsn, str(callers), str(self.seconds)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return round(float(done.stdout))


def compare(folder: Path, seconds: float, preload: str = "") -> dict[str, Any]:
    """Return all ways beside one another."""
    folder.mkdir()
    meters = Meters(folder, seconds, preload)
    found: dict[str, Any] = {"group_commit": meters.writer((1, 32, 256)), "one_commit_each": meters.one_each()}
    with postgres(preload=preload) as dsn:
        found["postgres_single"] = {str(count): meters.single_inserts(dsn, count) for count in (1, 32)}
    best = found["group_commit"]["256"]["per_second"]
    found["ratio_to_one_commit_each"] = round(best / found["one_commit_each"], 1)
    found["ratio_to_postgres"] = round(best / max(found["postgres_single"].values()), 1)
    return found


def dedupe(folder: Path, total: int) -> dict[str, Any]:
    """Return microseconds an event, new and repeated, while the table grows; every second one has its caller's key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from shuzha.core.clock import SystemClock

    store = open_store(folder / "dedupe", Signer("bench", Ed25519PrivateKey.generate()), SystemClock())
    table: UsageTable = store._table  # noqa: SLF001  -- the rows below go around the log: only the table is to grow.
    series, found, size = table.series_id(SERIES, "2026-11-23"), {}, 0
    label = store.label(SERIES)
    for goal in (total // 100, total // 10, total):
        while size < goal:
            rows = [(1_000_000_000 + size + place, new_id("usg"), series, 0, 1) for place in range(20_000)]
            table.add(rows, [], [])
            size += len(rows)
        store.tidy()
        fresh = [
            [(label, point(f"{goal}-{group}-{place}" * (place % 2))) for place in range(256)] for group in range(40)
        ]
        first = [timed(lambda group=group: store.record_points(group)) / 256 for group in fresh]
        store.flush()
        again = [timed(lambda group=group: store.record_points(group[1::2])) / 128 for group in fresh]
        found[str(goal)] = {
            "new_us": round(statistics.median(first) * 1e6, 2), "repeat_us": round(statistics.median(again) * 1e6, 2)
        }  # fmt: skip
    store._log.close()  # noqa: SLF001
    table.close()
    rates = list(found.values())
    return {**found, "largest_to_smallest": round(rates[-1]["new_us"] / rates[0]["new_us"], 2)}


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def build_shim(folder: Path) -> str:
    """Return the path of the library that makes forced writes slower; empty where there is no C compiler."""
    if shutil.which("cc") is None:
        return ""
    (folder / "slow.c").write_text(SLOW)
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", folder / "slow.so", folder / "slow.c", "-ldl"], check=True)
    (folder / "slow.so").chmod(0o755)
    return str(folder / "slow.so")


def main(arguments: list[str]) -> int:
    """Print what was found."""
    quick = "--quick" in arguments
    seconds, total = (1.0, 200_000) if quick else (5.0, 10_000_000)
    found: dict[str, Any] = {"cores": os.cpu_count(), "load_average": os.getloadavg()}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        found["this_disk"] = compare(folder / "this", seconds)
        shim = build_shim(folder)
        found["slow_disk"] = compare(folder / "slow", seconds, shim) if shim else "no C compiler: cc"
        found["dedupe"] = dedupe(folder, total)
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
