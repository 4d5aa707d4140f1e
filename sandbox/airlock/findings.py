"""Findings: what a rule says of a file, a table or a cell, and the verdict that follows from the worst of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final


class Severity(StrEnum):
    """How a finding binds: nothing with a block leaves; review needs people; a note is for information."""

    BLOCK = "block"
    REVIEW = "review"
    NOTE = "note"


class Verdict(StrEnum):
    """What the checks say of a whole output."""

    PASS = "pass"  # noqa: S105 - a verdict
    REVIEW = "review"
    BLOCK = "block"


# Their places name categories of the data, such as the terms of a regression.
_OF_CELLS: Final = frozenset({
    "min_count", "dominance_nk", "dominance_p", "dof", "zero_cell", "class_disclosure", "extreme", "leverage",
    "standard_errors",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's answer: the figure that was measured, the limit, and what would be accepted.

    `cell` names the cell by its labels, None when the finding is about the whole output; `file` and `place` say
    where.
    """

    rule: str
    severity: Severity
    accepted: str
    cell: dict[str, str | None] | None = None
    figure: float | int | None = None
    limit: float | int | None = None
    file: str = ""
    place: str = ""

    def with_file(self, file: str) -> Finding:
        """Return the same finding about the file of this name."""
        return replace(self, file=file)

    def outside(self) -> Finding:
        """Return the finding as it may be read outside of workspace and airlock: no label, no figure of the data.

        A table of everybody by all columns is blocked, and its findings would be its rows.
        """
        place = "" if self.cell is not None or self.rule in _OF_CELLS else self.place
        return replace(self, cell=None, figure=None, place=place)

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain JSON."""
        return {
            "rule": self.rule,
            "severity": self.severity.value,
            "file": self.file,
            "place": self.place,
            "cell": self.cell,
            "figure": self.figure,
            "limit": self.limit,
            "accepted": self.accepted,
        }


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict of the worst severity; a note counts as a pass."""
    severities = {finding.severity for finding in findings}
    if Severity.BLOCK in severities:
        return Verdict.BLOCK
    return Verdict.REVIEW if Severity.REVIEW in severities else Verdict.PASS
