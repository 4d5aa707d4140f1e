"""The table of attacks that the attack suite really tries, read out of the tests themselves without running them.

A test says what it tries in a marker: `@pytest.mark.attack(what=..., route=..., layer=..., control=...)`, all four in
plain text. `layer` is what refuses, one of `LAYERS`; `control` is how the same code succeeds with that layer removed.
A test that only shows what must go on working has the marker `works` instead.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "tests" / "attacks"
FIELDS = ("what", "route", "layer", "control")
LAYERS = (
    "network namespace", "mount namespace", "process namespace", "user of its own", "read-only mount",
    "mount without links", "seccomp", "no new privileges", "Landlock", "control group", "process limit", "disk image",
    "memory file system", "jailer", "gate", "out gate", "server", "platform", "hub", "outbox reader", "clean room",
    "disclosure rules", "differencing memory", "privacy budget", "model gate", "file gate", "airlock service",
    "vault",
)  # fmt: skip
"""What may refuse. A new layer is named here and on the pages of the sandbox."""


class NotRegistered(ValueError):
    """A test of the attack suite does not say what it tries; the message names the test and what is missing."""


@dataclass(frozen=True, slots=True, order=True)
class Attack:
    """One thing that is tried: by which route, which layer refuses it, how the control removes that layer, where."""

    layer: str
    what: str
    route: str
    control: str
    test: str


def read_attacks(folder: Path = FOLDER) -> tuple[Attack, ...]:
    """Return every attack of the suite, in the order of the page.

    Raises `NotRegistered` for a test without a marker, and for a marker that lacks a field or names an unknown layer.
    """
    found = [attack for file in sorted(folder.glob("test_*.py")) for attack in _of_module(file)]
    return tuple(sorted(found, key=lambda one: (LAYERS.index(one.layer), one.test, one.what)))


def attacks_page() -> str:
    """Return the page of all attacks, by the layer that refuses them."""
    parts = [
        "# Attacks that are tried", "",
        "Made from the markers of `tests/attacks` by `python -m shuzha.server.housekeeping`.",
        "Each row is tried for real. It passes only if the named layer refuses; the control removes that layer, and",
        "the same code must then succeed. `script/test tests/attacks` runs them.",
    ]  # fmt: skip
    attacks = read_attacks()
    for layer in LAYERS:
        rows = [one for one in attacks if one.layer == layer]
        if rows:
            parts += ["", f"## Refused by: {layer}", "", "| what | from where | control | test |", "|---|---|---|---|"]
            parts += [f"| {one.what} | {one.route} | {one.control} | `{one.test}` |" for one in rows]
    return "\n".join(parts) + "\n"


def _of_module(file: Path) -> Iterator[Attack]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield from _of_test(file.name, node)


def _of_test(file: str, test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Attack]:
    markers = [one for one in test.decorator_list if isinstance(one, ast.Call) and _name(one.func) == "attack"]
    if not markers and "works" not in {_name(one) for one in test.decorator_list}:
        raise NotRegistered(f"{file}: {test.name} does not say what it tries: mark it attack or works")
    for marker in markers:
        said = {one.arg: one.value.value for one in marker.keywords if isinstance(one.value, ast.Constant)}
        missing = [name for name in FIELDS if not isinstance(said.get(name), str) or not str(said[name]).strip()]
        if missing or set(said) != set(FIELDS):
            raise NotRegistered(f"{file}: the marker of {test.name} needs {', '.join(missing or FIELDS)} in plain text")
        if said["layer"] not in LAYERS:
            raise NotRegistered(f"{file}: {test.name} names the layer {said['layer']!r}; known are {', '.join(LAYERS)}")
        if any("|" in str(text) for text in said.values()):
            raise NotRegistered(f"{file}: the marker of {test.name} has a | in it, which would break its table")
        words = {name: str(said[name]) for name in FIELDS}
        yield Attack(words["layer"], words["what"], words["route"], words["control"], f"{file}::{test.name}")


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else ""
