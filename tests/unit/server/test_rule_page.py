"""The page of the airlock's rules: each rule with what it asks, and the examples that tests really try."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.airlock.rules import NOTES
from shuzha.server import rule_page
from shuzha.server.rule_page import BadBoundary, read_boundaries, rules_page, untried


def test_every_rule_and_every_parameter_is_tried_on_both_sides() -> None:
    assert untried(read_boundaries()) == ()


def test_a_rule_or_a_parameter_that_nothing_tries_makes_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    every = read_boundaries()
    assert untried(one for one in every if one.rule != "row_risk") == ("row_risk",)
    without = tuple(one for one in every if "files.columns" not in one.parameters)
    assert untried(without) == ("file_size: files.columns",)
    monkeypatch.setattr(rule_page, "read_boundaries", lambda: without)
    with pytest.raises(BadBoundary, match=r"files\.columns"):
        rules_page()


def test_a_marker_tries_the_only_parameter_of_its_rule_or_those_it_names(tmp_path: Path) -> None:
    said = 'passes="ten", fails="nine"'
    (tmp_path / "test_x.py").write_text(
        f'@pytest.mark.boundary(rule="min_count", {said})\n@pytest.mark.boundary(rule="dominance_nk", {said})\n'
        f'@pytest.mark.boundary(rule="dominance_nk", parameter="nk_k, nk_n", {said})\ndef test_x():\n    ...\n'
    )
    tried = [one.parameters for one in read_boundaries([tmp_path])]
    assert tried == [("min_entities",), (), ("nk_k", "nk_n")]


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
        ('rule="min_count", passes="ten", fails="nine", parameter="nk_k"', "does not have"),
        ('rule="min_count", passes="ten", fails="nine", parameter=""', "needs rule, passes, fails"),
        ('rule="min_count", passes="ten", fails="nine", limit="10"', "needs rule, passes, fails"),
    ],
)
def test_a_marker_that_says_too_little_is_refused(tmp_path: Path, marker: str, message: str) -> None:
    (tmp_path / "test_x.py").write_text(f"@pytest.mark.boundary({marker})\ndef test_x():\n    ...\n")
    with pytest.raises(BadBoundary, match=message):
        read_boundaries([tmp_path])
