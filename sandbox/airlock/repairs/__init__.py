"""Repairs of a table that a rule blocks: suppression, rounding, merged labels, coded values; each checked again.

Words: a *primary* cell is one that a rule blocks; a *secondary* cell is safe and is left out to protect primary ones;
a *line* is all cells that differ in one label only, so its total is a margin of the table.
"""

from __future__ import annotations

from sandbox.airlock.repairs.checked import Checked, compute_checked
from sandbox.airlock.repairs.suggesting import Suggestion, suggest

__all__ = ["Checked", "Suggestion", "compute_checked", "suggest"]
