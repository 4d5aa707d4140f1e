"""The outbox: where a notebook in a clean room leaves what it declares, read by the platform without trust.

A declaration is one small JSON file; its content, if it has any, is another file beside it. Everything is read after
the jail has ended, without following links, within caps, into memory: what is judged is what was read here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sandbox.workspaces.host.homes import UnsafePath, read_beneath

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MEDIA = re.compile(r"[a-z]+/[a-z0-9.+-]{1,60}")
_DECLARATION_BYTES = 128 * 1024
_CONTEXT_CHARACTERS = 2000
_FIELDS = frozenset({"name", "kind", "context", "specification", "file", "media"})


class OutputKind(StrEnum):
    """What an output is: computed from a specification by the platform, a declared model, or a file of free form."""

    TABLE = "table"
    REGRESSION = "regression"
    FIGURE = "figure"
    VERIFICATION = "verification"
    SERVICE = "service"
    MODEL = "model"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class OutboxCaps:
    """The most that an outbox may hold: declarations, bytes of one content, bytes of all contents."""

    declarations: int = 32
    file_bytes: int = 32 * 1024**2
    total_bytes: int = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Declared:
    """One declared output: its name, kind, the sentence of context, its closed specification and its bytes.

    `specification` is JSON text as the notebook wrote it, not yet checked; `content` is what the kernel computed, for
    comparison only where the platform can recompute.
    """

    name: str
    kind: OutputKind
    context: str
    specification: bytes | None
    content: bytes | None
    media: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What an outbox held: the declared outputs in order, and why anything in it was not accepted."""

    declared: tuple[Declared, ...]
    problems: tuple[str, ...]


def collect(outbox: Path, caps: OutboxCaps | None = None) -> Collected:
    """Return what the outbox holds; a declaration that breaks a rule is left out and named in `problems`."""
    caps = caps or OutboxCaps()
    files = sorted(entry.name for entry in outbox.iterdir() if entry.name.endswith(".json"))
    declared: dict[str, Declared] = {}
    problems: list[str] = []
    if len(files) > caps.declarations:
        # How many more is not said: it would be a number of the notebook's choosing.
        problems.append(f"more than {caps.declarations} outputs are declared, which is the most in one request")
    left = caps.total_bytes
    for place, file in enumerate(files[: caps.declarations], start=1):
        try:
            one = _read_declared(outbox, file, min(left, caps.file_bytes))
        except (UnsafePath, ValueError) as error:
            problems.append(f"declaration {place} is not accepted: {error}")
            continue
        left -= len(one.content or b"")
        declared[one.name] = one
    return Collected(tuple(declared.values()), tuple(problems))


def _read_declared(outbox: Path, file: str, most: int) -> Declared:
    try:
        body = json.loads(read_beneath(outbox, file, _DECLARATION_BYTES))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(body, dict) or not set(body) <= _FIELDS:
        raise ValueError(f"an object with {', '.join(sorted(_FIELDS))} is accepted")
    name, kind = _text(body, "name", NAME), _kind(body)
    context = body.get("context") or ""
    if not isinstance(context, str) or len(context) > _CONTEXT_CHARACTERS:
        raise ValueError(f"`context` must be text of at most {_CONTEXT_CHARACTERS} characters")
    specification = body.get("specification")
    if (kind is OutputKind.FILE) is not (specification is None):
        raise ValueError("a table, regression, figure, verification and model have a specification, a file has none")
    content = None
    if body.get("file") is not None:
        content = read_beneath(outbox, str(body["file"]), most)
    elif kind in (OutputKind.FILE, OutputKind.MODEL):
        raise ValueError(f"an output of kind {kind} needs its `file`")
    encoded = None if specification is None else json.dumps(specification, ensure_ascii=False).encode()
    media = _text({"media": body.get("media") or "application/json"}, "media", MEDIA)
    return Declared(name, kind, context, encoded, content, media)


def _text(body: dict[str, Any], field: str, pattern: re.Pattern[str]) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"`{field}` must match {pattern.pattern}")
    return value


def _kind(body: dict[str, Any]) -> OutputKind:
    try:
        return OutputKind(str(body.get("kind")))
    except ValueError:
        raise ValueError(f"`kind` must be one of {', '.join(OutputKind)}") from None
