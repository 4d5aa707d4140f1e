"""The page of every rule of the airlock, with examples that tests try: what passes at the boundary, and what fails.

A test says what it tries in a marker, `@pytest.mark.boundary(rule=..., passes=..., fails=...)`, all in plain text, with
`parameter=` (one name, or several with commas) where the rule has more than one. Definition, parameters, severity and
source come from the rules; the tests are read without running them. A rule or parameter that no test tries is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.airlock.handbook import defaults, shown
from sandbox.airlock.rules import NOTES, RuleNote
from sandbox.airlock.ways import WAYS

TESTS = Path(__file__).parents[2] / "tests"
FOLDERS = (TESTS / "unit" / "airlock", TESTS / "integration" / "airlock")
FIELDS = ("rule", "passes", "fails")
PARAMETER = "parameter"


class BadBoundary(ValueError):
    """A marker says too little, or a rule has none; the message names the test, or the rule and parameter."""


@dataclass(frozen=True, slots=True, order=True)
class Boundary:
    """What a test tries on both sides of one rule's boundary, and which of the rule's parameters set it there."""

    rule: str
    passes: str
    fails: str
    test: str
    parameters: tuple[str, ...] = ()


def read_boundaries(folders: Sequence[Path] = FOLDERS) -> tuple[Boundary, ...]:
    """Return every boundary that a test says it tries.

    Raises `BadBoundary` for a marker that lacks a field, names an unknown rule, or would break its table.
    """
    files = [file for folder in folders for file in sorted(folder.rglob("test_*.py"))]
    return tuple(one for file in files for one in _of_module(file))


def untried(boundaries: Iterable[Boundary], notes: Iterable[RuleNote] = NOTES) -> tuple[str, ...]:
    """Return each rule, and each parameter of a rule (`rule: parameter`), that none of these tests tries."""
    tried = list(boundaries)
    missing: list[str] = []
    for note in notes:
        own = [one for one in tried if one.rule == note.rule]
        named = {name for one in own for name in one.parameters}
        missing += [note.rule] if not own else []
        missing += [f"{note.rule}: {name}" for name in note.parameters if own and name not in named]
    return tuple(missing)


def rules_page() -> str:
    """Return the page of all rules; refuses (`BadBoundary`) while a rule or a parameter has no test of its boundary."""
    boundaries = read_boundaries()
    if missing := untried(boundaries):
        raise BadBoundary(f"no test is marked to try the boundary of {', '.join(missing)}")
    values = defaults()
    parts = [
        "# The rules of the airlock", "",
        "Made from `sandbox.airlock.rules` and from the tests that try each rule on both sides of its boundary, by",
        "`python -m shuzha.server.housekeeping`. Parameters are the authority's; these are the defaults. Those named",
        "`files.` are the platform's own limits of the file gate and are changed with its code alone.",
        "How the rules are applied is in [the airlock](airlock.md).",
    ]  # fmt: skip
    for note in NOTES:
        parts += _section(note, values, [one for one in boundaries if one.rule == note.rule])
    return "\n".join(parts) + "\n"


def _section(note: RuleNote, values: Mapping[str, Any], examples: Sequence[Boundary]) -> Iterator[str]:
    given = ", ".join(f"`{name}` = {shown(values[name])}" for name in note.parameters) or "none"
    yield from ("", f"## `{note.rule}`", "", f"{note.meaning[0].upper()}{note.meaning[1:]}.", "")
    yield f"Severity: {note.severity.value}. Parameters: {given}. Source: {note.source}."
    yield from ("", f"What to do: {WAYS[note.rule]}")
    yield from ("", "| passes | fails | test |", "|---|---|---|")
    yield from (f"| {one.passes} | {one.fails} | `{one.test}` |" for one in examples)


def _of_module(file: Path) -> Iterator[Boundary]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield from _of_test(file, node)


def _of_test(file: Path, test: ast.FunctionDef) -> Iterator[Boundary]:
    for one in test.decorator_list:
        if not (isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr == "boundary"):
            continue
        said = {key.arg: key.value.value for key in one.keywords if isinstance(key.value, ast.Constant)}
        name = f"{file.name}::{test.name}"
        plain = all(isinstance(text, str) and text.strip() for text in said.values())
        if set(said) - {PARAMETER} != set(FIELDS) or not plain:
            raise BadBoundary(f"the marker of {name} needs {', '.join(FIELDS)} in plain text")
        if any("|" in str(text) for text in said.values()):
            raise BadBoundary(f"the marker of {name} has a | in it, which would break its table")
        rule, passes, fails = (str(said[field]) for field in FIELDS)
        yield Boundary(rule, passes, fails, name, _parameters(rule, str(said.get(PARAMETER, "")), name))


def _parameters(rule: str, said: str, test: str) -> tuple[str, ...]:
    """Return the parameters that a marker tries: those it names, else the only one of its rule."""
    note = next((one for one in NOTES if one.rule == rule), None)
    if note is None:
        raise BadBoundary(f"{test} names the rule {rule!r}, which the airlock does not have")
    named = tuple(one.strip() for one in said.split(",") if one.strip())
    if unknown := set(named) - set(note.parameters):
        raise BadBoundary(f"{test} names the parameter {min(unknown)!r}, which the rule {rule} does not have")
    return named or (note.parameters if len(note.parameters) == 1 else ())
