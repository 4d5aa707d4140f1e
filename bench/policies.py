"""Decisions of the policy layer beside rivals over the grants of a city: the parts in `bench/deciding/`.

python bench/policies.py [PART ...] [--quick]
"""

from __future__ import annotations

import sys

from running.parts import BENCHES, run_parts

if __name__ == "__main__":
    sys.exit(run_parts(BENCHES / "deciding", {"city"}, sys.argv[1:]))
