"""The page of every rule of the airlock, with examples that tests try: what passes at the boundary, and what fails.

A test says what it tries in a marker, `@pytest.mark.boundary(rule=..., passes=..., fails=...)`, all three in plain
text. Definition, parameters, severity and source come from the rules; the tests are read without running them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.airlock.rules import NOTES, RuleNote, Rules

TESTS = Path(__file__).parents[2] / "tests"
FOLDERS = (TESTS / "unit" / "airlock", TESTS / "integration" / "airlock")
FIELDS = ("rule", "passes", "fails")


class BadBoundary(ValueError):
    """A marker does not say which rule, what passes and what fails; the message names its test."""


@dataclass(frozen=True, slots=True, order=True)
class Boundary:
    """What a test tries on both sides of one rule's boundary."""

    rule: str
    passes: str
    fails: str
    test: str


def read_boundaries(folders: Sequence[Path] = FOLDERS) -> tuple[Boundary, ...]:
    """Return every boundary that a test says it tries.

    Raises `BadBoundary` for a marker that lacks a field, names an unknown rule, or would break its table.
    """
    files = [file for folder in folders for file in sorted(folder.rglob("test_*.py"))]
    return tuple(one for file in files for one in _of_module(file))


def rules_page() -> str:
    """Return the page of all rules."""
    boundaries = read_boundaries()
    defaults = _flat(Rules().as_dict())
    parts = [
        "# The rules of the airlock", "",
        "Made from `sandbox.airlock.rules` and from the tests that try each rule on both sides of its boundary, by",
        "`python -m shuzha.server.housekeeping`. Every parameter is the authority's; these are the defaults.",
        "How the rules are applied is in [the airlock](airlock.md).",
    ]  # fmt: skip
    for note in NOTES:
        parts += _section(note, defaults, [one for one in boundaries if one.rule == note.rule])
    return "\n".join(parts) + "\n"


def _section(note: RuleNote, defaults: Mapping[str, Any], examples: Sequence[Boundary]) -> Iterator[str]:
    given = ", ".join(f"`{name}` = {_shown(defaults[name])}" for name in note.parameters) or "none"
    yield from ("", f"## `{note.rule}`", "", f"{note.meaning[0].upper()}{note.meaning[1:]}.", "")
    yield f"Severity: {note.severity.value}. Parameters: {given}. Source: {note.source}."
    if examples:
        yield from ("", "| passes | fails | test |", "|---|---|---|")
        yield from (f"| {one.passes} | {one.fails} | `{one.test}` |" for one in examples)


def _flat(values: Mapping[str, Any], ahead: str = "") -> dict[str, Any]:
    """Return the parameters by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{ahead}{name}.") if isinstance(value, Mapping) else {f"{ahead}{name}": value}
    return found


def _shown(value: object) -> str:
    return "none declared" if value == () else str(value)


def _of_module(file: Path) -> Iterator[Boundary]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield from _of_test(file, node)


def _of_test(file: Path, test: ast.FunctionDef) -> Iterator[Boundary]:
    for one in test.decorator_list:
        if not (isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == "boundary"):
            continue
        said = {key.arg: key.value.value for key in one.keywords if isinstance(key.value, ast.Constant)}
        words = {name: said.get(name) for name in FIELDS}
        name = f"{file.name}::{test.name}"
        if set(said) != set(FIELDS) or not all(isinstance(text, str) and text.strip() for text in words.values()):
            raise BadBoundary(f"the marker of {name} needs {', '.join(FIELDS)} in plain text")
        if words["rule"] not in {note.rule for note in NOTES}:
            raise BadBoundary(f"{name} names the rule {words['rule']!r}, which the airlock does not have")
        if any("|" in str(text) for text in words.values()):
            raise BadBoundary(f"the marker of {name} has a | in it, which would break its table")
        yield Boundary(str(words["rule"]), str(words["passes"]), str(words["fails"]), name)
