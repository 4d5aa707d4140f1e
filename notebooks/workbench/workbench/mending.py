"""Repairs that the platform tried: what each leaves, and the output with it applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import WorkbenchError
from workbench.figures import Figure
from workbench.specifications import Table

REPAIRS = {
    "suppress": ("隐去小格及保护它们的格子", "leave blocked cells out, with what protects them"),
    "round": ("取整，隐去小格", "round figures, leave blocked cells out"),
    "midpoint6": ("六取中，隐去小格", "the middle of six, blocked cells left out"),
    "merge": ("合并相邻类别", "show neighbouring labels as one"),
    "code": ("先把取值归整", "round values first"),
}
"""Each repair in Chinese and English."""


def apply_repair(tried: Sequence[Mapping[str, Any]], name: str) -> Table | Figure:
    """Return the output with the repair of this name; refuses one that the platform did not find to pass."""
    for one in tried:
        if one["name"] == name:
            return rebuild(one["specification"])
    raise WorkbenchError(
        f"cannot repair by {name!r}", rule="airlock.repair", accepted=", ".join(one["name"] for one in tried) or "none"
    )


def rebuild(specification: Mapping[str, Any]) -> Table | Figure:
    """Return the output that this JSON describes."""
    if specification["kind"] == "figure":
        edges = tuple(specification.get("edges") or ())
        return Figure(_table(specification["table"]), specification["draw"], edges=edges)
    return _table(specification)


def say(one: Mapping[str, Any]) -> str:
    """Return what a repair does and leaves, in a line."""
    chinese, english = REPAIRS.get(one["name"], (one["name"], one.get("says", "")))
    return (
        f"{chinese}：留 {one['shown']} 格，隐 {one['hidden']} 格 · {english}: {one['shown']} shown, {one['hidden']} not"
    )


def _table(found: Mapping[str, Any]) -> Table:
    coding = found.get("coding")
    return Table(
        found["release"], tuple(found["rows"]), tuple(found.get("columns") or ()), tuple(found.get("where") or ()),
        found.get("value"), found.get("aggregate", "count"), found.get("repair", "none"),
        tuple(found.get("merges") or ()), None if not coding else {k: v for k, v in coding.items() if v is not None},
    )  # fmt: skip
