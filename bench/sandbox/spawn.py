"""Opening a workspace beside JupyterHub's own LocalProcessSpawner with the same environment.

python bench/sandbox/spawn.py [--quick]

Each round opens a workspace that never was before with us, and a server of a user without a home with the rival, in
turn: with the rival's own settings, and with those extensions off that ours has off (`lean`: what isolation alone
costs). The rival runs its servers as the bench's own user, so it changes none (JupyterHub's SimpleLocalProcessSpawner).
Then a kernel is started and reads a granted release: the first result counts from the click. The last step stops it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import node_proxy
from hubs import LEAN, Caller, make_user, open_server, our_hub, rival_hub, run_first, stop_server, summarize

ACCOUNT = "u-bench"
RELEASE = "social_insurance"
SPAWN_BAR, RESULT_BAR_SECONDS = 1.3, 5.0
LEAN_ARGUMENT = f"--ServerApp.jpserver_extensions={LEAN}"


@dataclass
class Seen:
    """What the rounds of one way took, in seconds."""

    ready: list[float] = field(default_factory=list)
    result: list[float] = field(default_factory=list)
    stop: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        return {name: summarize(getattr(self, name)) for name in ("ready", "result", "stop")}


async def measure(
    caller: Caller, account: str, name: str, folder: str, seen: Seen, options: dict[str, Any] | None = None
) -> None:
    """Open, compute the first result, stop; `folder` is where the release lies in the workspace."""
    code = f"import polars as pl\npl.scan_parquet({folder + '/*.parquet'!r}).head().collect()"
    await make_user(caller, account)
    began = time.perf_counter()
    seen.ready.append(await open_server(caller, account, name, options))
    said = await run_first(caller, account, name, code)
    seen.result.append(time.perf_counter() - began)
    if "resident" not in said:
        raise SystemExit(f"the first result is not the release: {said[:200]!r}")
    seen.stop.append(await stop_server(caller, account, name))


def main(quick: bool) -> dict[str, Any]:
    rounds, warming = (1, 0) if quick else (12, 1)
    ways = {name: Seen() for name in ("ours", "again", "rival", "lean")}
    with our_hub() as (hub, ours), rival_hub() as (_, rival):
        names = [hub.make_workspace(ACCOUNT) for _ in range(rounds + warming)]
        release = str(hub.settings.releases / names[0] / RELEASE)
        turns = list(ways)
        for turn, name in enumerate(names):
            for way in turns[turn % 4 :] + turns[: turn % 4]:
                seen = ways[way] if turn >= warming else Seen()  # The first round warms the caches of both.
                if way in {"ours", "again"}:
                    opened = name if way == "ours" else names[0]
                    asyncio.run(measure(ours, ACCOUNT, opened, f"/data/{RELEASE}", seen))
                else:
                    options = {"args": [LEAN_ARGUMENT]} if way == "lean" else None
                    asyncio.run(measure(rival, f"{ACCOUNT}-{way}-{turn}", "w", release, seen, options))
    return judge(ways, rounds)


def judge(ways: dict[str, Seen], rounds: int) -> dict[str, Any]:
    middle = {way: statistics.median(seen.ready) for way, seen in ways.items()}
    result = statistics.median(ways["ours"].result)
    ratio = {
        "ready": round(middle["ours"] / middle["rival"], 2), "ready_again": round(middle["again"] / middle["rival"], 2),
        "ready_beside_lean": round(middle["ours"] / middle["lean"], 2),
        "result": round(result / statistics.median(ways["rival"].result), 2),
        "stop": round(statistics.median(ways["ours"].stop) / statistics.median(ways["rival"].stop), 2),
    }  # fmt: skip
    return {
        "n": rounds, "rival": "JupyterHub's LocalProcessSpawner behind its own proxy", **node_proxy.versions(),
        "took": {way: seen.figures() for way, seen in ways.items()}, "ratio": ratio,
        "bars": {
            f"spawn to ready <= {SPAWN_BAR}x": ratio["ready"] <= SPAWN_BAR,
            f"first result <= {RESULT_BAR_SECONDS:.0f} s after the click": result <= RESULT_BAR_SECONDS,
        },
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main("--quick" in sys.argv[1:])) + "\n")
