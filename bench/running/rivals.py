"""Rivals, each in an environment of its own that a benchmark makes once and keeps in `.venv-rivals/`.

A rival is named in the `rivals.toml` of a bench's folder with its pinned packages; nothing of it enters the platform's
own environments.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".venv-rivals"


@dataclass(frozen=True)
class Rivals:
    """The rivals that a bench's folder names."""

    folder: Path

    def python_of(self, rival: str) -> Path:
        """Return the Python of a rival's environment, made anew when its packages in `rivals.toml` have changed."""
        wanted = sorted(tomllib.loads((self.folder / "rivals.toml").read_text())[rival]["packages"])
        environment = ENVIRONMENTS / rival
        stamp = environment / "packages.json"
        if not stamp.is_file() or json.loads(stamp.read_text()) != wanted:
            uv = ROOT / ".venv-tools/bin/uv"
            python = environment / "bin/python"
            subprocess.run([uv, "venv", "-q", "--clear", environment], check=True)
            subprocess.run([uv, "pip", "install", "-q", "--python", python, *wanted], check=True)
            stamp.write_text(json.dumps(wanted))
        return environment / "bin/python"

    def run(self, rival: str, code: str, *arguments: str, timeout: float = 900, threads: int | None = None) -> Any:
        """Return the JSON that `code` prints as its last line, run by the rival's Python; refuses one that fails."""
        environment = dict(os.environ)
        if threads is not None:
            environment |= {name: str(threads) for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS")}
        done = subprocess.run(
            [self.python_of(rival), "-c", code, *arguments],
            check=True, capture_output=True, text=True, timeout=timeout, env=environment,
        )  # fmt: skip
        return json.loads(done.stdout.strip().splitlines()[-1])
