"""What holds of every table of tree nodes, whatever format it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sandbox.airlock.models.inside.arithmetic import MOST_DEPTH
from sandbox.airlock.models.problems import EXTRA, FORMAT, ModelRefused


def check_trees(table: Mapping[str, Any]) -> None:
    """Refuse nodes that no root leads to or two do, trees that are too deep, and numbers that are none."""
    left, right = np.asarray(table["left"], np.int64), np.asarray(table["right"], np.int64)
    count = len(left)
    if ((left < 0) != (right < 0)).any() or left.max(initial=-1) >= count or right.max(initial=-1) >= count:
        raise ModelRefused(FORMAT, "a branch to a node that is not there", "branches within a tree")
    if not np.isfinite(np.asarray(table["value"])).all() or not np.isfinite(np.asarray(table["threshold"])).all():
        raise ModelRefused(FORMAT, "a threshold or a leaf that is no number", "finite numbers")
    seen = np.zeros(count, dtype=np.int64)
    level = np.asarray(table["roots"], np.int64)
    if not len(level):
        raise ModelRefused(FORMAT, "trees without a root", "trees whose nodes a root leads to")
    for _ in range(MOST_DEPTH + 1):
        np.add.at(seen, level, 1)
        level = level[left[level] >= 0]
        level = np.concatenate([left[level], right[level]])
        if not len(level) or seen.max() > 1:
            break
    if len(level) or seen.max() > 1:
        raise ModelRefused(FORMAT, "a tree that leads back to itself", f"trees of at most {MOST_DEPTH} levels")
    if seen.min() < 1:
        raise ModelRefused(EXTRA, "nodes of a tree that its root does not lead to", "nodes that a root leads to")
