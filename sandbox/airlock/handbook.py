"""The parts of docs/reference/airlock.md that follow from code: the table of rules and the diagram of states."""

from __future__ import annotations

import dataclasses
from typing import Any

from sandbox.airlock.files.kinds import Limits
from sandbox.airlock.model import EXPORT
from sandbox.airlock.rules import NOTES, Rules


def defaults() -> dict[str, Any]:
    """Return the default of every parameter by its dotted name: of tables plain, of `models.` and of `files.`."""
    values = Rules().as_dict()
    models, files = values.pop("models"), dataclasses.asdict(Limits())
    return (
        values
        | {f"models.{name}": value for name, value in models.items()}
        | {f"files.{name}": value for name, value in files.items()}
    )


def rules_table() -> str:
    """Return the table of every rule with its parameters and their defaults, as Markdown."""
    values = defaults()
    lines = ["| rule | parameters | severity | what it asks | source |", "|---|---|---|---|---|"]
    for note in NOTES:
        parameters = ", ".join(f"`{name}` = {shown(values[name])}" for name in note.parameters) or "none"
        lines.append(f"| `{note.rule}` | {parameters} | {note.severity.value} | {note.meaning} | {note.source} |")
    return "\n".join(lines)


def lifecycle_diagram() -> str:
    """Return the states of an export request as a Mermaid block."""
    return f"```mermaid\n{EXPORT.diagram()}\n```"


def shown(value: object) -> str:
    """Return a parameter's value in words."""
    return "none declared" if value == () else str(value)
