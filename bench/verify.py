"""The verify call beside what one would build instead, in one run on one core: JSON on stdout, medians of the rounds.

python bench/verify.py [PART ...] [--quick]

Servers (API, writer, rival, PostgreSQL) have one core, the load another. Parts: `calls` the whole call beside an
empty FastAPI route, the same path without a meter, and FastAPI with PostgreSQL, in turns; `batch`; `half_load` latency
at half of what was reached; `sizes` from 1 M to 100 M subjects; `shapes` a match, a mismatch and an unknown subject.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from running.rivals import Rivals
from verifying.stand import HERE, Stand, make_stand, pick_port, postgres

PARTS = ("calls", "batch", "half_load", "sizes", "shapes")
RIVAL = "fastapi-postgres"


class Bench:
    """One run: how long its rounds are, and what was found so far."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.stand: Stand = make_stand(folder / "city")
        self.quick = quick
        self.rounds = 1 if quick else 5
        self.seconds = 1.0 if quick else 4.0
        self.subjects = (100_000, 1_000_000) if quick else (1_000_000, 10_000_000, 100_000_000)
        self.reached = 0.0

    def calls(self) -> dict[str, Any]:
        """Return the four ways in turns, so that whatever else the machine does meets all alike."""
        self.stand.publish_index(self.subjects[0])
        ports = {name: pick_port() for name in ("fastapi_empty", "fastapi_postgres", "unmetered", "whole")}
        python = Rivals(HERE).python_of(RIVAL)
        with postgres() as dsn:
            rivals = HERE / "rivals_app.py"
            self.stand.start(rivals, "empty", ports["fastapi_empty"], wait=ports["fastapi_empty"], python=python)
            self.stand.start(
                rivals, "postgres", ports["fastapi_postgres"], dsn, wait=ports["fastapi_postgres"], python=python
            )
            self.stand.start_api(ports["unmetered"], metered=False)
            self.stand.start_api(ports["whole"])
            runs = self._turns(ports)
            self.stand.stop()
        found: dict[str, Any] = {name: summary(each) for name, each in runs.items()}
        self.reached = found["whole"]["per_second"]
        found["ratios"] = {
            f"whole_to_{name}": round(self.reached / found[name]["per_second"], 3) for name in ports if name != "whole"
        }
        found["counted"] = self.counted()
        return found

    def batch(self) -> dict[str, Any]:
        """Return the checks a second of batches of a hundred beside single calls, in turns."""
        port = pick_port()
        self.stand.publish_index(self.subjects[0])
        self.stand.start_api(port)
        single, batches = self.stand.requests(), [self.stand.batch(n % 8, n * 100) for n in range(64)]
        ones, hundreds = [], []
        for _ in range(self.rounds):
            ones.append(self.stand.ask(single, port, seconds=self.seconds))
            hundreds.append(self.stand.ask(batches, port, seconds=self.seconds, connections=16))
        self.stand.stop()
        checks = 100 * statistics.median(run["per_second"] for run in hundreds)
        calls = statistics.median(run["per_second"] for run in ones)
        return {"checks_per_second": checks, "single_per_second": calls, "ratio": round(checks / calls, 2)}

    def half_load(self) -> dict[str, Any]:
        """Return the latencies at half of the calls a second that are reached, requests due at even moments."""
        port = pick_port()
        self.stand.publish_index(self.subjects[0])
        self.stand.start_api(port)
        requests = self.stand.requests()
        full = self.reached or self.stand.ask(requests, port, seconds=self.seconds)["per_second"]
        runs = [
            self.stand.ask(requests, port, seconds=2 * self.seconds, warm=1, rate=full / 2) for _ in range(self.rounds)
        ]
        self.stand.stop()
        return {
            "rate": round(full / 2),
            **summary(runs),
            "worst_each_100_ms": [run["worst_each_100_ms"] for run in runs],
        }

    def sizes(self) -> dict[str, Any]:
        """Return the calls a second over indexes of growing size, in turns over all of them."""
        runs: dict[str, list[dict[str, Any]]] = {}
        for _ in range(1 if self.quick else 3):
            for size in self.subjects:
                port = pick_port()
                self.stand.publish_index(size)
                self.stand.start_api(port)
                runs.setdefault(str(size), []).append(
                    self.stand.ask(self.stand.requests(), port, seconds=self.seconds, warm=1)
                )
                self.stand.stop()
        found = {size: summary(each) for size, each in runs.items()}
        rates = [one["per_second"] for one in found.values()]
        return {**found, "smallest_to_largest": round(rates[0] / rates[-1], 3)}

    def shapes(self) -> dict[str, Any]:
        """Return the median latency of a match, a mismatch and an unknown subject, asked by turns on one connection."""
        port = pick_port()
        self.stand.publish_index(self.subjects[0])
        self.stand.start_api(port)
        calls = 1_000 if self.quick else 10_000
        found = self.stand.ask(
            self.stand.three_kinds(calls), port, calls=3 * calls, classes=3, connections=1, seconds=600, warm=0
        )
        self.stand.stop()
        medians = dict(zip(("match", "mismatch", "unknown"), found["class_p50_us"], strict=True))
        return {
            "calls_each": calls,
            "p50_us": medians,
            "spread": round(max(medians.values()) / min(medians.values()) - 1, 4),
        }

    def counted(self) -> dict[str, Any]:
        """Return what the meter holds: every use in the log and in the table, none of them twice."""
        from shuzha.ledger.reader import LogReader
        from shuzha.metering.reports import UsageQuery, UsageReader

        reader, log = UsageReader(self.stand.folder / "usage"), LogReader(self.stand.folder / "logs" / "usage")
        metered, logged = reader.totals(UsageQuery()).uses, log.indexed()
        reader.close()
        log.close()
        return {"metered": metered, "logged": logged}

    def _turns(self, ports: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
        requests = self.stand.requests()
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ports}
        for _ in range(self.rounds):
            for name, port in ports.items():
                runs[name].append(self.stand.ask(requests, port, seconds=self.seconds, warm=1))
        return runs


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of some runs, and each run's rate."""
    names = ("per_second", "p50_ms", "p99_ms", "p999_ms", "cpu_us", "load_busy")
    return {
        **{name: round(statistics.median(run[name] for run in runs), 3) for name in names},
        "rounds": [run["per_second"] for run in runs], "steal_s": round(sum(run["steal"] for run in runs), 2),
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run the parts that are named, or all; return 0, or 2 for a name that is no part."""
    chosen = [one for one in arguments if not one.startswith("-")] or list(PARTS)
    if unknown := [one for one in chosen if one not in PARTS]:
        print(f"no such part: {', '.join(unknown)}; parts: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
    }
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        bench = Bench(Path(name), quick="--quick" in arguments)
        try:
            for part in chosen:
                found[part] = getattr(bench, part)()
        finally:
            bench.stand.stop()
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
