"""Acknowledged events a second through the real writer process, beside one commit an event in SQLite: JSON on stdout.

python bench/metering.py [SECONDS]
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.metering.client import UsageClient
from shuzha.metering.events import UsageEvent


def event() -> UsageEvent:
    usage_id = new_id("usg")
    return UsageEvent(
        usage_id=usage_id, kind="verify", key_id="key_1", idempotency_key=usage_id, consumer="org_bank",
        product="370100-DV-0001", authorization="aut_1", policy_version="0123456789abcdef", claim="insured",
        purpose="loan-review", answer='{"result":"match"}', price=120, waived=False, request_digest="0123456789abcdef",
        occurred_at=dt.datetime.now(dt.UTC),
    )  # fmt: skip


async def through_the_writer(socket: Path, callers: int, seconds: float) -> dict[str, float]:
    client = UsageClient(socket)
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def call() -> None:
        while (began := time.perf_counter()) < end:
            await client.record(event())
            taken.append(time.perf_counter() - began)

    await asyncio.gather(*(call() for _ in range(callers)))
    client.close()
    taken.sort()
    return {
        "per_second": round(len(taken) / seconds),
        "p50_ms": round(taken[len(taken) // 2] * 1e3, 2),
        "p99_ms": round(taken[len(taken) * 99 // 100] * 1e3, 2),
    }


def one_commit_each(folder: Path, seconds: float) -> int:
    database = sqlite3.connect(folder / "rival.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE events (id TEXT PRIMARY KEY, body TEXT)")
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        database.execute("INSERT INTO events VALUES (?, ?)", (new_id("usg"), "x" * 300))
        count += 1
    database.close()
    return round(count / seconds)


def main(seconds: float) -> dict[str, object]:
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        KeyRing.create(data / "keys")
        began = time.perf_counter()
        command = [sys.executable, "-m", "shuzha.metering.writer", "--dir", name]
        writer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        socket = data / "run" / "usage.sock"
        while not socket.exists():
            time.sleep(0.002)
        found["start_ms"] = round((time.perf_counter() - began) * 1e3)
        for callers in (1, 32, 256):
            found[f"writer_{callers}_callers"] = asyncio.run(through_the_writer(socket, callers, seconds))
        found["sqlite_one_commit_each_per_second"] = one_commit_each(data, seconds)
        writer.terminate()
        writer.wait()
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0), indent=1) + "\n")
