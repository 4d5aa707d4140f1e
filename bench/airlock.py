"""The airlock's checks beside their floors and rivals: the parts in `bench/airlock/`.

python bench/airlock.py [PART ...] [--quick]
"""

from __future__ import annotations

import sys

from running.parts import BENCHES, run_parts

if __name__ == "__main__":
    sys.exit(run_parts(BENCHES / "airlock", set(), sys.argv[1:]))
