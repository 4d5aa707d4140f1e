"""The page of the airlock's rules: each rule with what it asks, and the examples that tests really try."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.airlock.rules import NOTES
from shuzha.server.rule_page import BadBoundary, read_boundaries, rules_page

STATISTICS = {
    "min_count", "dominance_nk", "dominance_p", "dof", "zero_cell", "class_disclosure", "extreme", "leverage",
    "standard_errors", "differencing", "plot", "label_pii", "unknown_aggregate", "specification", "checker_failed",
    "free_form", "suppressed", "repair_failed", "rounding",
}  # fmt: skip


def test_every_statistical_rule_is_tried_on_both_sides() -> None:
    assert {one.rule for one in read_boundaries()} >= STATISTICS


def test_the_page_has_each_rule_with_its_parameters_source_and_examples() -> None:
    page = rules_page()
    for note in NOTES:
        assert f"## `{note.rule}`" in page
    assert "Parameters: `nk_n` = 2, `nk_k` = 0.9. Source: ACRO, (n,k) rule." in page
    assert "| 10 persons in 50 rows | 9 persons in 45 rows | `test_disclosure.py::" in page


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('rule="min_count", passes="ten"', "needs rule, passes, fails"),
        ('rule="min_count", passes="ten", fails=""', "needs rule, passes, fails"),
        ('rule="nothing", passes="ten", fails="nine"', "does not have"),
        ('rule="min_count", passes="a|b", fails="nine"', "break its table"),
    ],
)
def test_a_marker_that_says_too_little_is_refused(tmp_path: Path, marker: str, message: str) -> None:
    (tmp_path / "test_x.py").write_text(f"@pytest.mark.boundary({marker})\ndef test_x():\n    ...\n")
    with pytest.raises(BadBoundary, match=message):
        read_boundaries([tmp_path])
