"""Answers for one model until its input ends: reads it once, then a frame of rows in, a frame of scores out.

    python -m products.forms.predicting.inside.worker    (the model at /job/model; frames on standard input and output)

A frame is eight bytes of length and MessagePack. The file is read as the model gate reads it and never loaded by its
library (ADR 18); what is run is the platform's own arithmetic.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import msgspec

from sandbox.airlock.models.specification import ModelSpecification

MODEL = "/job/model"
Cell = float | str | None


class Start(msgspec.Struct, frozen=True):
    """What the worker is told first: the model's declaration and its caps."""

    specification: ModelSpecification
    addresses: int


class Ready(msgspec.Struct, frozen=True):
    """What it says then: the classes in the order of the scores, none for a regression; or why it cannot."""

    classes: tuple[str, ...] = ()
    width: int = 0
    failed: str = ""


class Rows(msgspec.Struct, frozen=True):
    """Inputs, each in the order of the declared columns; a missing one is null."""

    rows: list[list[Cell]]


class Scores(msgspec.Struct, frozen=True):
    """A row of scores for each input, or why there is none."""

    scores: list[list[float]] = []
    failed: str = ""


def main() -> int:
    """Answer until the input ends; return the exit code."""
    start = msgspec.msgpack.decode(_read(), type=Start)
    for kind, most in (
        (resource.RLIMIT_AS, start.addresses), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_FSIZE, 0),
    ):  # fmt: skip
        resource.setrlimit(kind, (most, most))
    # Numeric libraries are loaded where the file is read, after the caps.
    from products.forms.predicting.inside.scoring import ModelFailed, Scorer

    try:
        scorer = Scorer(Path(MODEL).read_bytes(), start.specification)
    except ModelFailed as error:
        _write(Ready(failed=str(error)))
        return 1
    _write(Ready(scorer.classes, scorer.width))
    while data := _read():
        asked = msgspec.msgpack.decode(data, type=Rows)
        try:
            _write(Scores(scorer.score(asked.rows)))
        except ModelFailed as error:
            _write(Scores(failed=str(error)))
    return 0


def _read() -> bytes:
    head = sys.stdin.buffer.read(8)
    return sys.stdin.buffer.read(int.from_bytes(head, "big")) if len(head) == 8 else b""


def _write(answer: Any) -> None:
    data = msgspec.msgpack.encode(answer)
    sys.stdout.buffer.write(len(data).to_bytes(8, "big") + data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
