"""What makes an import request fit, and that the page says what the rules say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.airlock.findings import Finding, Severity
from sandbox.inbound.model import IMPORT, ImportState, Rules, as_seen_by, use_columns
from sandbox.inbound.screening import ACCEPTED, RULES
from tests.inbound_values import column, request, wish

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "bring-your-own-reference-file.md").read_text("utf-8")


def test_the_page_names_every_rule_and_every_figure() -> None:
    named = set(re.findall(r"`(own\.[a-z_]+)`", PAGE))
    assert set(RULES) <= named
    assert named - set(RULES) == {"own.key"}, "a refusal by count, no finding"
    assert set(ACCEPTED) <= set(RULES)
    rules = Rules()
    for figure in (rules.rows, rules.cell_letters, rules.most_keys):
        assert f"{figure:,}" in PAGE
    for figure, unit in (
        (rules.columns, "columns"), (rules.files, "files"), (rules.uploads_a_day, "uploads"),
        (rules.submissions_a_day, "submissions"), (rules.bytes // 1024**2, "MiB"),
        (rules.total_bytes // 1024**2, "MiB"), (rules.least_class, "people"),
    ):  # fmt: skip
        assert f"{figure} {unit}" in PAGE, (figure, unit)
    assert f"{rules.least_keys} to {rules.most_keys:,} keys" in PAGE


def test_nothing_enters_without_a_review() -> None:
    into = {move.sources for move in IMPORT.moves if move.target is ImportState.IMPORTED}
    assert into == {(ImportState.APPROVED,)}
    assert {move.sources for move in IMPORT.moves if move.target is ImportState.APPROVED} == {(ImportState.SCREENED,)}
    assert IMPORT.terminal == {
        ImportState.REFUSED, ImportState.REJECTED, ImportState.WITHDRAWN, ImportState.REMOVED,
    }  # fmt: skip


@pytest.mark.parametrize(("organisation", "closed"), [("org_operator", 0), ("org_authority", 1), ("org_provider", 1)])
def test_closed_findings_are_for_other_organisations(organisation: str, closed: int) -> None:
    seen = as_seen_by(request(closed=(Finding("own.match", Severity.BLOCK, ""),)), organisation)
    assert len(seen.closed) == closed


def test_a_column_that_nobody_asked_for_is_left_out() -> None:
    asked = request(columns=(column("id"), column("segment"), column("spend")))
    used = use_columns(asked, wish(keep=("segment",), key="id", joins="resident_id"))
    assert {one.name: one.use.value for one in used} == {"id": "key", "segment": "keep", "spend": "drop"}


def test_the_key_enters_under_the_name_of_what_it_joins() -> None:
    asked = request(columns=(column("id"), column("segment")))
    used = use_columns(asked, wish(keep=("segment",), key="id", joins="resident_id"))
    made = request(columns=used, name="customers", key="id", joins="resident_id")
    assert made.entering() == ("resident_id", "segment")
    assert request(columns=used, name="customers").entering() == ("segment",)
