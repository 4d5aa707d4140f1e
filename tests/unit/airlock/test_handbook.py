"""The reference says what the code does: generated parts are compared word by word."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from sandbox.airlock import handbook
from sandbox.airlock.files.kinds import Limits
from sandbox.airlock.models.rules import ModelRules
from sandbox.airlock.rules import NOTES, Rules

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "airlock.md").read_text("utf-8")


def test_the_page_has_the_table_of_rules() -> None:
    assert handbook.rules_table() in PAGE


def test_the_page_has_the_diagram_of_states() -> None:
    assert handbook.lifecycle_diagram() in PAGE


def test_every_parameter_belongs_to_a_rule() -> None:
    named = {name for note in NOTES for name in note.parameters}
    own = {field.name for field in dataclasses.fields(Rules)} - {"models"}
    models = {f"models.{field.name}" for field in dataclasses.fields(ModelRules)}
    files = {f"files.{field.name}" for field in dataclasses.fields(Limits)}
    assert named == own | models | files == set(handbook.defaults())


def test_every_rule_that_the_code_names_is_in_the_table() -> None:
    known = {note.rule for note in NOTES}
    assert len(known) == len(NOTES)
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "sandbox" / "airlock").rglob("*.py"))
    named = set(re.findall(r'(?:Finding|_Test)\(\s*"([a-z_]+)"', text))
    assert named <= known, named - known
