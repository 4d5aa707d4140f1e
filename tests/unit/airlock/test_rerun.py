"""What a clean-room run shows of the session before it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.airlock import rerun
from sandbox.airlock.findings import Severity
from sandbox.workspaces.clean_room.outbox import Declared, OutputKind

SPECIFICATION = {"kind": "table", "release": "pay", "rows": ["地区"], "value": None, "share": 0.1}


def cell(source: str, *outputs: dict[str, Any], kind: str = "code") -> dict[str, Any]:
    return {"cell_type": kind, "source": source, "outputs": list(outputs)}


def stream(text: Any, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def shown(**data: Any) -> dict[str, Any]:
    return {"output_type": "execute_result", "data": {key.replace("_", "/"): value for key, value in data.items()}}


def notebook(*cells: dict[str, Any]) -> bytes:
    return json.dumps({"nbformat": 4, "cells": list(cells)}).encode()


def table(name: str, specification: dict[str, Any]) -> Declared:
    return Declared(name, OutputKind.TABLE, "", json.dumps(specification, indent=1).encode(), None, "application/json")


def file(name: str, content: bytes) -> Declared:
    return Declared(name, OutputKind.FILE, "", None, content, "text/csv")


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        (stream("12\n"), stream("12\n"), ()),
        (stream(["1", "2\n"]), stream("12\n"), ()),
        (stream("12\n"), stream("13\n"), (2,)),
        (stream("12\n"), stream("12\n", "stderr"), (2,)),
        (shown(text_plain="<A at 0x7f12ab34cd56>"), shown(text_plain="<A at 0x7f99ab34cd56>"), ()),
        (shown(text_plain="a 0x12"), shown(text_plain="a 0x13"), (2,)),
        (shown(text_plain="t", text_html="<b>1</b>"), shown(text_plain="t", text_html="<b>2</b>"), ()),
        (shown(text_plain="t", image_png="AA=="), shown(text_plain="t", image_png="AB=="), (2,)),
        ({"output_type": "error", "traceback": ["1"]}, stream(""), ()),
    ],
)
def test_cells_that_show_something_else_are_named(
    before: dict[str, Any], after: dict[str, Any], differ: tuple[int, ...]
) -> None:
    words, unsaved = cell("# words", kind="markdown"), cell("y")
    submitted = notebook(words, cell("x", before), unsaved)
    executed = notebook(words, cell("x", after), cell("y", stream("never saved before")))
    assert rerun.compare_cells(submitted, executed) == differ


@pytest.mark.parametrize("broken", [b"", b"[]", b"{", b'{"cells": [3, {"cell_type": "code", "outputs": [7]}]}'])
def test_what_is_no_notebook_has_no_cells_to_compare(broken: bytes) -> None:
    good = notebook(cell("x", stream("1")))
    assert rerun.compare_cells(broken, good) == ()
    assert rerun.compare_cells(good, broken) == ((1,) if good != broken else ())


def test_no_more_than_fifty_cells_are_named() -> None:
    before = notebook(*(cell("x", stream(str(n))) for n in range(80)))
    assert len(rerun.compare_cells(before, notebook(*(cell("x", stream("z")) for _ in range(80))))) == rerun.MOST_CELLS


@pytest.mark.boundary(
    rule="session_differs", passes="the output that the session had declared, or one that it had not",
    fails="another one of the same name (review)",
)  # fmt: skip
def test_an_output_that_was_another_in_the_session_needs_review() -> None:
    told = {"same": rerun.digest(SPECIFICATION, None), "other": rerun.digest(SPECIFICATION | {"share": 0.2}, None)}
    declared = [table("same", SPECIFICATION), table("other", SPECIFICATION), file("new", b"1")]
    found = rerun.compare_outputs(told, declared)
    assert [(one.rule, one.severity, one.file) for one in found] == [("session_differs", Severity.REVIEW, "other")]


def test_a_file_is_compared_by_its_bytes() -> None:
    told = {"a": rerun.digest(None, b"1"), "b": rerun.digest(None, b"1")}
    assert [one.file for one in rerun.compare_outputs(told, [file("a", b"1"), file("b", b"2")])] == ["b"]


def test_notebook_and_platform_digest_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "notebooks" / "workbench"))
    for name in [name for name in sys.modules if name.split(".")[0] == "workbench"]:
        monkeypatch.delitem(sys.modules, name)
    import workbench
    from workbench import outputs

    made = workbench.table("pay", rows=["地区"], aggregate="entities")
    workbench.export("by_place", made)
    workbench.export("words", "甲乙")
    assert outputs.digests() == {
        "by_place": rerun.digest(json.loads(json.dumps(made.specification)), None),
        "words": rerun.digest(None, "甲乙".encode()),
    }
