"""Runs the parts of a bench, each in a process of its own, and prints one JSON on stdout.

A part is a script of the bench's folder that prints one JSON object as its last line; `--quick` shrinks it to seconds,
for a look and not for a figure.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

BENCHES = Path(__file__).resolve().parents[1]


def run_parts(folder: Path, helpers: set[str], arguments: list[str]) -> int:
    """Run the parts that `arguments` name, or all; return 0, 1 where one failed, 2 for a name that is no part.

    Scripts of `folder` named in `helpers` are not parts. What begins with - is handed to every part.
    """
    flags = [one for one in arguments if one.startswith("-")]
    parts = {path.stem: path for path in sorted(folder.glob("*.py")) if path.stem not in helpers}
    chosen = [one for one in arguments if not one.startswith("-")] or list(parts)
    if unknown := [one for one in chosen if one not in parts]:
        print(f"no such part: {', '.join(unknown)}; parts: {', '.join(parts)}", file=sys.stderr)
        return 2
    found = {name: _run(parts[name], flags) for name in chosen}
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "kernel": platform.release()}
    print(json.dumps({"machine": machine, **found}, ensure_ascii=False, indent=1))
    return int(any("failed" in part for part in found.values()))


def _run(part: Path, flags: list[str]) -> dict[str, object]:
    """Return what a part printed; a part that fails is said to have failed, the others still run."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(BENCHES.parent)}
    done = subprocess.run(
        [sys.executable, part, *flags], check=False, stdout=subprocess.PIPE, text=True, env=environment
    )
    seconds = round(time.perf_counter() - began, 1)
    if done.returncode:
        return {"failed": done.returncode, "seconds": seconds}
    return {**json.loads(done.stdout.strip().splitlines()[-1]), "seconds": seconds}
