"""The sandbox beside its rivals and floors: every part in a process of its own, one JSON on stdout.

python bench/sandbox.py [PART ...] [--quick]

A part is a script of `bench/sandbox/` that prints one JSON object as its last line; `--quick` shrinks it to seconds,
for a look and not for a figure. Scripts named in NOT_PARTS are helpers of parts.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "sandbox"
NOT_PARTS = {"stand", "node_proxy", "hubs"}


def run_part(part: Path, flags: list[str]) -> dict[str, object]:
    """Return what a part printed; a part that fails is said to have failed, the others still run."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent.parent)}
    done = subprocess.run(
        [sys.executable, part, *flags], check=False, stdout=subprocess.PIPE, text=True, env=environment
    )
    seconds = round(time.perf_counter() - began, 1)
    if done.returncode:
        return {"failed": done.returncode, "seconds": seconds}
    return {**json.loads(done.stdout.strip().splitlines()[-1]), "seconds": seconds}


def main(arguments: list[str]) -> int:
    flags = [one for one in arguments if one.startswith("-")]
    parts = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem not in NOT_PARTS}
    chosen = [one for one in arguments if not one.startswith("-")] or list(parts)
    if unknown := [one for one in chosen if one not in parts]:
        print(f"no such part: {', '.join(unknown)}; parts: {', '.join(parts)}", file=sys.stderr)
        return 2
    found = {name: run_part(parts[name], flags) for name in chosen}
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "kernel": platform.release()}
    print(json.dumps({"machine": machine, **found}, ensure_ascii=False))
    return int(any("failed" in part for part in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
