"""Rivals, each in an environment of its own that the benchmark makes once and keeps in `.venv-rivals/`.

A rival is named in `rivals.toml` with its pinned packages; nothing of it enters the platform's own environments.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
ENVIRONMENTS = ROOT / ".venv-rivals"


def python_of(rival: str) -> Path:
    """Return the Python of a rival's environment, made anew when its packages in `rivals.toml` have changed."""
    wanted = sorted(tomllib.loads((FOLDER / "rivals.toml").read_text())[rival]["packages"])
    environment = ENVIRONMENTS / rival
    stamp = environment / "packages.json"
    if not stamp.is_file() or json.loads(stamp.read_text()) != wanted:
        uv = ROOT / ".venv-tools/bin/uv"
        python = environment / "bin/python"
        subprocess.run([uv, "venv", "-q", "--clear", environment], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, *wanted], check=True)
        stamp.write_text(json.dumps(wanted))
    return environment / "bin/python"


def run_rival(rival: str, code: str, *arguments: str, timeout: float = 900, threads: int | None = None) -> Any:
    """Return the JSON that `code` prints as its last line when run by the rival's Python; refuses a failing rival."""
    environment = dict(os.environ)
    if threads is not None:
        environment |= {name: str(threads) for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS")}
    done = subprocess.run(
        [python_of(rival), "-c", code, *arguments],
        check=True, capture_output=True, text=True, timeout=timeout, env=environment,
    )  # fmt: skip
    return json.loads(done.stdout.strip().splitlines()[-1])
