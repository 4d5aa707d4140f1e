"""Declaring outputs: what a notebook means to export, by name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import polars as pl

from workbench import page
from workbench.errors import WorkbenchError
from workbench.figures import Figure
from workbench.models import Model, model
from workbench.place import outbox
from workbench.regressions import Regression
from workbench.services import Service
from workbench.specifications import Table, Verification

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NEXT = {
    "table": (
        "表",
        "由平台重新计算后出域；可先 workbench.check(…) · the platform computes it anew; try workbench.check first",
    ),
    "regression": (
        "回归",
        "由平台拟合后出域；可先 workbench.check(…) · the platform fits it anew; try workbench.check first",
    ),
    "figure": (
        "图形",
        "由平台重算重绘后出域；可先 workbench.check(…) · the platform draws it anew; try workbench.check first",
    ),
    "verification": ("核验规格", "由平台建索引 · the platform builds the index; nothing of the data is in it"),
    "service": ("数据服务规格", "由平台逐次计算 · the platform computes and checks each answer; no data is in it"),
    "model": ("模型", "读后重写、受攻击检验，且须人工审核 · read, written anew, attacked, and judged by people"),
    "file": ("文件", "自由格式，一律人工审核 · free-form: people judge it, it never passes by itself"),
}
_declared: dict[str, Declaration] = {}


class Declaration:
    """One declared output; look at it to see what happens to it."""

    def __init__(
        self, name: str, kind: str, context: str, specification: dict[str, Any] | None, digest: str = ""
    ) -> None:
        self.name = name
        self.kind = kind
        self.context = context
        self.specification = specification
        self.digest = digest

    def __repr__(self) -> str:
        return f"<declared output {self.name}: {self.kind}>"

    def _repr_html_(self) -> str:
        word, next_ = _NEXT[self.kind]
        head = page.heading(
            page.join(["已声明成果 declared output ", page.tag("code", self.name)]), f"{word} {self.kind}"
        )
        return page.join([head, page.quiet(self.context), page.quiet(next_)])


def export(
    name: str, obj: Any, context: str = "", *, kind: str | None = None, media: str | None = None, **told: Any
) -> Declaration:
    """Declare `obj` as the output `name`, with a sentence of context; nothing leaves before review.

    Example: `workbench.export("by_district", table, context="for the annual report")`

    A table, regression, figure or verification is recomputed by the platform. A frame, text or bytes is free-form: it
    is checked by content and never passes without a person's review. With `kind="model"` it is a fitted model, and
    `told` is what `workbench.model` takes. Refuses a name that is not a-z, 0-9 and _, up to 40.
    """
    if not _NAME.fullmatch(name):
        raise WorkbenchError(
            f"cannot declare {name!r}", rule="workbench.name", accepted="a-z, 0-9 and _, a letter first, at most 40"
        )
    if kind not in (None, "model") or (told and kind is None):
        raise WorkbenchError(
            f"cannot declare an output of kind {kind!r}", rule="workbench.export",
            accepted='kind="model" with what it was trained on; other outputs say their kind themselves',
        )  # fmt: skip
    if kind == "model" and not isinstance(obj, Model):
        obj = model(obj, **told)
    form, specification, content, found = _describe(obj)
    declaration = Declaration(name, form, context, specification, _digest(specification, content))
    _declared[name] = declaration
    box = outbox()
    if box is not None:
        _leave(box, declaration, content, media or found)
    return declaration


def declared() -> tuple[str, ...]:
    """Return the names declared so far in this kernel, in order."""
    return tuple(_declared)


def digests() -> dict[str, str]:
    """Return the names declared so far with the SHA-256 of each, which the platform compares with its own run's."""
    return {name: one.digest for name, one in _declared.items()}


def _digest(specification: dict[str, Any] | None, content: bytes | None) -> str:
    """Return the SHA-256 of a specification's canonical JSON, else of the bytes (`sandbox.airlock.rerun.digest`)."""
    if specification is None:
        return hashlib.sha256(content or b"").hexdigest()
    canonical = json.dumps(specification, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _describe(obj: Any) -> tuple[str, dict[str, Any] | None, bytes | None, str]:
    match obj:
        case Table():
            return "table", obj.specification, None, "application/json"
        case Regression():
            return "regression", obj.specification, None, "application/json"
        case Figure():
            return "figure", obj.specification, None, "application/json"
        case Verification():
            return "verification", obj.specification, None, "application/json"
        case Service():
            return "service", obj.specification, None, "application/json"
        case Model():
            return "model", obj.specification, obj.content, "application/octet-stream"
        case pl.DataFrame():
            buffer = io.BytesIO()
            obj.write_csv(buffer)
            return "file", None, buffer.getvalue(), "text/csv"
        case bytes():
            return "file", None, obj, "application/octet-stream"
        case str():
            return "file", None, obj.encode(), "text/plain"
    raise WorkbenchError(
        f"cannot declare an output of type {type(obj).__name__}", rule="workbench.export",
        accepted="a workbench table, regression, figure, verification, service or model, a DataFrame, text or bytes",
    )  # fmt: skip


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
