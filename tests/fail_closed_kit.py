"""One release of people who exist in a table alone, and each kind of output over it, to be judged by the screener."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from sandbox.airlock.inputs import Source
from sandbox.airlock.model import ExportRequest, ExportState
from sandbox.airlock.vault import Vault
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind

FRAME = pl.DataFrame({
    "person": range(240), "place": ["A", "B", "C"] * 80, "kind": (["p"] * 3 + ["q"] * 3) * 40,
    "income": [100.0 + (n * 37) % 91 for n in range(240)],
})  # fmt: skip
TABLE: dict[str, Any] = {"kind": "table", "release": "incomes", "rows": ["place"], "aggregate": "entities"}
MODEL: dict[str, Any] = {
    "kind": "model", "release": "incomes", "columns": ["income"], "target": "kind", "task": "classification",
    "holdout": {"share": 0.3},
}  # fmt: skip
SPECIFICATIONS: dict[str, dict[str, Any]] = {
    "table": TABLE,
    "figure": {"kind": "figure", "draw": "bar", "table": TABLE},
    "regression": {"kind": "regression", "release": "incomes", "formula": "income ~ C(place) + C(kind)"},
    "model": MODEL,
}
LAYERS = json.dumps({
    "format": "shuzha-model/1", "layers": [{"weights": [[0.01]], "bias": [0.0], "activation": "sigmoid"}],
    "classes": ["p", "q"],
}).encode()  # fmt: skip
CSV = b"place,people\nA,80\nB,80\nC,80\n"


def source(**changes: Any) -> Source:
    fields: dict[str, Any] = {
        "release": "rel_1", "name": "incomes", "grant": "grt_1", "demand": "dem_1", "authorization": "aut_1",
        "operator": "org_unit", "entry": "ent_1", "entry_code": "20", "entry_name": "incomes", "version": 3,
        "entity": "person", "entity_missing": False, "columns": tuple(FRAME.columns), "frame": FRAME.lazy(),
    }  # fmt: skip
    return Source(**(fields | changes))


class GivenInputs:
    """One release of everybody's incomes."""

    def __init__(self, **changes: Any) -> None:
        self._one = source(**changes)

    def release(self, release_id: str) -> Source:
        return self._one

    def entry(self, release_id: str) -> Source:
        return self._one


class BrokenInputs:
    """Raises what no check expects."""

    def release(self, release_id: str) -> Source:
        raise ZeroDivisionError

    def entry(self, release_id: str) -> Source:
        raise ZeroDivisionError


def vault(folder: Path) -> Vault:
    return Vault(folder / "vault")


def a_request(outputs: Sequence[str] = ()) -> ExportRequest:
    return ExportRequest(
        "exp_1", "t", "c", "acc_a", "org_unit", "ws", "aut_1", "sc", "p", ("rel_1",), tuple(outputs), "",
        ExportState.RERUNNING, dt.datetime(2026, 3, 2, tzinfo=dt.UTC),
    )  # fmt: skip


def declare(kind: str, content: bytes | None = None, **changes: Any) -> Declared:
    """Return an output of a kind as a notebook declares it; `changes` are laid over its specification."""
    if kind == "file":
        return Declared("out", OutputKind.FILE, "", None, CSV if content is None else content, "text/csv")
    said = json.dumps(SPECIFICATIONS[kind] | changes).encode()
    content = LAYERS if kind == "model" and content is None else content
    return Declared("out", OutputKind(kind), "", said, content, "application/json")
