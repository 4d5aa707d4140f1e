"""The parts of docs/reference/airlock.md that follow from code: the table of rules and the diagram of states."""

from __future__ import annotations

from sandbox.airlock.model import EXPORT
from sandbox.airlock.rules import NOTES, Rules


def rules_table() -> str:
    """Return the table of every rule with its parameters and their defaults, as Markdown."""
    defaults = Rules().as_dict()
    defaults |= {f"models.{name}": value for name, value in defaults.pop("models").items()}
    lines = ["| rule | parameters | severity | what it asks | source |", "|---|---|---|---|---|"]
    for note in NOTES:
        parameters = ", ".join(f"`{name}` = {_shown(defaults[name])}" for name in note.parameters) or "none"
        lines.append(f"| `{note.rule}` | {parameters} | {note.severity.value} | {note.meaning} | {note.source} |")
    return "\n".join(lines)


def lifecycle_diagram() -> str:
    """Return the states of an export request as a Mermaid block."""
    return f"```mermaid\n{EXPORT.diagram()}\n```"


def _shown(value: object) -> str:
    return "none declared" if value == () else str(value)
