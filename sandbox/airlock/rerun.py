"""What a clean-room run shows of the session before it: which outputs, and which cells, came out differently.

Bytes of the interactive session are never released. They say whether the notebook makes by itself what its author saw:
state that it does not make, data that has changed, or randomness that no seed declares. Pure: no files, no jail.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sandbox.airlock.findings import Finding, Severity
from sandbox.workspaces.clean_room.outbox import Declared

MOST_CELLS: Final = 50
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{6,16}")
_SHOWN: Final = ("text/plain", "image/png", "image/svg+xml")
_SAID: Final = frozenset({"execute_result", "display_data"})


def digest(specification: Any, content: bytes | None) -> str:
    """Return what one declaration comes to: the SHA-256 of its specification's canonical JSON, else of its bytes."""
    if specification is None:
        return hashlib.sha256(content or b"").hexdigest()
    canonical = json.dumps(specification, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def compare_outputs(session: Mapping[str, str], declared: Sequence[Declared]) -> list[Finding]:
    """Return a finding for each output whose declaration in the session was another one.

    `session` has the digests that the author's kernel told when he submitted (none: he submitted from elsewhere). They
    are the author's own word, so they only ever add a question; they clear nothing.
    """
    found = []
    for one in declared:
        specification = None if one.specification is None else json.loads(one.specification)
        told = session.get(one.name)
        if told is not None and told != digest(specification, one.content):
            accepted = "the same output from the notebook alone: declared seeds, no state from outside it"
            found.append(Finding("session_differs", Severity.REVIEW, accepted, file=one.name))
    return found


def compare_cells(submitted: bytes, executed: bytes) -> tuple[int, ...]:
    """Return the cells (from 1, over all cells) that showed something else when they were run again, at most 50.

    Cells that were saved without outputs are not compared; addresses in memory and HTML are not looked at.
    """
    before, after = _code_cells(submitted), _code_cells(executed)
    return tuple(
        number for number, outputs in before.items() if outputs and outputs != after.get(number, ())
    )[:MOST_CELLS]  # fmt: skip


def note_cells(cells: Sequence[int]) -> list[Finding]:
    """Return the note that says which cells showed something else, if any did."""
    if not cells:
        return []
    place = "cell " + ", ".join(str(cell) for cell in cells)
    return [Finding("session_differs", Severity.NOTE, "cells that show the same again", None, len(cells), place=place)]


def _code_cells(notebook: bytes) -> dict[int, tuple[str, ...]]:
    try:
        cells = json.loads(notebook).get("cells", [])
    except (ValueError, AttributeError, RecursionError):
        return {}
    return {
        number: _outputs(cell.get("outputs") or ())
        for number, cell in enumerate(cells, start=1)
        if isinstance(cell, dict) and cell.get("cell_type") == "code"
    }


def _outputs(outputs: Sequence[Any]) -> tuple[str, ...]:
    """Return what a cell showed, with text that came in pieces joined."""
    said: list[str] = []
    streams: dict[str, str] = {}
    for one in outputs:
        if not isinstance(one, dict):
            continue
        if one.get("output_type") == "stream":
            name = str(one.get("name"))
            streams[name] = streams.get(name, "") + _text(one.get("text"))
        elif one.get("output_type") in _SAID and isinstance(one.get("data"), dict):
            said += [f"{kind} {_text(one['data'][kind])}" for kind in _SHOWN if kind in one["data"]]
    said += [f"{name} {text}" for name, text in sorted(streams.items()) if text]
    return tuple(_ADDRESS.sub("0x", each) for each in said)


def _text(value: Any) -> str:
    return "".join(str(each) for each in value) if isinstance(value, list) else str(value)
