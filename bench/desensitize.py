"""The desensitization engine beside its rivals and floors: the parts in `bench/desensitization/`.

python bench/desensitize.py [PART ...] [--quick]
"""

from __future__ import annotations

import sys

from running.parts import BENCHES, run_parts

if __name__ == "__main__":
    sys.exit(run_parts(BENCHES / "desensitization", {"rivals", "train_free_text"}, sys.argv[1:]))
