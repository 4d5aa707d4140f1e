"""The sandbox beside its rivals and floors: the parts in `bench/sandbox/`.

python bench/sandbox.py [PART ...] [--quick]
"""

from __future__ import annotations

import sys

from running.parts import BENCHES, run_parts

if __name__ == "__main__":
    sys.exit(run_parts(BENCHES / "sandbox", {"stand", "node_proxy", "hubs"}, sys.argv[1:]))
