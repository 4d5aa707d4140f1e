"""The rivals of this folder's `rivals.toml` (`bench/running/rivals.py`)."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.append(str(FOLDER.parent))

from running.rivals import ENVIRONMENTS, ROOT, Rivals  # noqa: E402 - a script of this folder finds the one beside it

python_of = Rivals(FOLDER).python_of
run_rival = Rivals(FOLDER).run

__all__ = ["ENVIRONMENTS", "FOLDER", "ROOT", "python_of", "run_rival"]
