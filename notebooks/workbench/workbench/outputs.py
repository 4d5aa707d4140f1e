"""Declaring outputs: what a notebook means to export, by name."""

from __future__ import annotations

import html
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import WorkbenchError
from workbench.place import outbox
from workbench.specifications import Table, Verification

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_declared: dict[str, Declaration] = {}


class Declaration:
    """One declared output; look at it to see what happens to it."""

    def __init__(self, name: str, kind: str, context: str, specification: dict[str, Any] | None) -> None:
        self.name = name
        self.kind = kind
        self.context = context
        self.specification = specification

    def __repr__(self) -> str:
        return f"<declared output {self.name}: {self.kind}>"

    def _repr_html_(self) -> str:
        word = {"table": "表", "verification": "核验规格", "file": "文件（自由格式，须人工审核）"}[self.kind]
        return f"<p>已声明出域成果 declared output <b>{html.escape(self.name)}</b> · {word} {self.kind}</p>"


def export(
    name: str, obj: Table | Verification | pl.DataFrame | bytes | str, context: str = "", *, media: str | None = None
) -> Declaration:
    """Declare `obj` as the output `name`, with a sentence of context; nothing leaves before review.

    A table or verification is recomputed by the platform. A frame, text or bytes is free-form: it is checked by content
    and never passes without a person's review. Refuses a name that is not a-z, 0-9 and _, up to 40.
    """
    if not _NAME.fullmatch(name):
        raise WorkbenchError(f"cannot declare {name!r}: names are a-z, 0-9 and _, begin with a letter, at most 40")
    kind, specification, content, found = _describe(obj)
    declaration = Declaration(name, kind, context, specification)
    _declared[name] = declaration
    box = outbox()
    if box is not None:
        _leave(box, declaration, content, media or found)
    return declaration


def declared() -> tuple[str, ...]:
    """Return the names declared so far in this kernel, in order."""
    return tuple(_declared)


def _describe(obj: Any) -> tuple[str, dict[str, Any] | None, bytes | None, str]:
    match obj:
        case Table():
            return "table", obj.specification, None, "application/json"
        case Verification():
            return "verification", obj.specification, None, "application/json"
        case pl.DataFrame():
            buffer = io.BytesIO()
            obj.write_csv(buffer)
            return "file", None, buffer.getvalue(), "text/csv"
        case bytes():
            return "file", None, obj, "application/octet-stream"
        case str():
            return "file", None, obj.encode(), "text/plain"
    accepted = "a workbench table or verification, a polars DataFrame, text or bytes"
    raise WorkbenchError(f"cannot declare an output of type {type(obj).__name__}: accepted is {accepted}")


def _leave(box: Path, declaration: Declaration, content: bytes | None, media: str) -> None:
    """Put the declaration, and its content beside it, into the clean room's outbox."""
    place = f"{list(_declared).index(declaration.name):04d}-{declaration.name}"
    body: dict[str, Any] = {"name": declaration.name, "kind": declaration.kind, "context": declaration.context}
    body |= {"specification": declaration.specification, "media": media}
    if content is not None:
        body["file"] = f"{place}.content"
        (box / body["file"]).write_bytes(content)
    half = box / f".{place}.{os.getpid()}"
    half.write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
    half.replace(box / f"{place}.json")
