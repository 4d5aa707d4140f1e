"""Who leaked a copy: a jail that knows no key reads it, then every buyer's signs are held against what was found."""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from products.forms import jail
from products.forms.marks import codes
from products.forms.marks.inside.worker import Answer, Order
from products.forms.marks.tables import RULE, read_column, read_table
from products.forms.terms import Mark
from shuzha.core.errors import Invalid, Unavailable

MOST_BYTES: Final = 256 * 1024**2
_MODULE: Final = "products.forms.marks.inside.worker"
_INSIDE: Final = "/job/original"
_ADDRESSES: Final = 4 * 1024**3
_CPU_SECONDS: Final = 300
_WALL_SECONDS: Final = 300
_MOST_ANSWER: Final = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Suspect:
    """One buyer held against a copy: its score, and the chance of that score without a part, over all buyers.

    `log10_chance` is of the union bound: -9 says at most one in a billion. `named` where it is small enough.
    """

    buyer: str
    score: float
    log10_chance: float
    named: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """What a copy says: its rows and those found in the original, the marked cells that spoke, and the buyers."""

    rows: int
    matched: int
    cells: int
    columns: tuple[str, ...]
    suspects: tuple[Suspect, ...]

    @property
    def named(self) -> tuple[Suspect, ...]:
        """The buyers whose copies this was made from, beyond the chance of `codes.ACCUSED`."""
        return tuple(one for one in self.suspects if one.named)


def trace(copy: bytes, original: Path, marks: Mapping[str, Mark], key: bytes, buyers: Sequence[str]) -> Trace:
    """Return who leaked a copy of the product whose original lies there, the most likely buyer first.

    Refuses a file that is no table; raises Unavailable where no jail can be made or the worker does not answer.
    """
    answer = _ask(copy, original, marks)
    if answer.failed:
        raise Invalid(f"a copy cannot be traced: {answer.failed}", rule=RULE, accepted="CSV or Parquet")
    frame = read_table(original.read_bytes())[1]
    found = {name: _checked(cells, frame.height) for name, cells in answer.cells.items() if name in marks}
    heard: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for name, (rows, said) in found.items():
        spoke = read_column(frame, name, marks[name]).open[rows]
        heard[name] = (rows[spoke], said[spoke])
    cells = sum(len(rows) for rows, _ in heard.values())
    totals = {buyer: _score(key, buyer, heard, frame.height) for buyer in dict.fromkeys(buyers)}
    judged = [
        _judge(buyer, score, cells, len(totals))
        for buyer, score in sorted(totals.items(), key=lambda one: (-one[1], one[0]))
    ]
    return Trace(answer.rows, answer.matched, cells, tuple(sorted(heard)), tuple(judged))


def _judge(buyer: str, score: float, cells: int, buyers: int) -> Suspect:
    chance = codes.log_chance_of_any(score, cells, buyers)
    return Suspect(buyer, round(score, 3), round(chance / math.log(10), 2), chance <= math.log(codes.ACCUSED))


def _score(key: bytes, buyer: str, heard: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], height: int) -> float:
    total = 0.0
    for name, (rows, said) in heard.items():
        own, bias = codes.signs(key, buyer, name, height), codes.biases(key, name, height)
        total += float(codes.scores(said, own[rows], bias[rows]).sum())
    return total


def _checked(cells: tuple[bytes, bytes], height: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return rows and signs as the worker may have said them: each row once, signs of one; the jail is not trusted."""
    rows, said = np.frombuffer(cells[0], dtype="<i4"), np.frombuffer(cells[1], dtype="i1")
    sound = len(rows) == len(said) and len(np.unique(rows)) == len(rows)
    if not sound or (len(rows) and (rows.min() < 0 or rows.max() >= height or not np.isin(said, (-1, 1)).all())):
        raise Unavailable("the reader of a copy did not answer as agreed", rule=RULE)
    return rows, said


def _ask(copy: bytes, original: Path, marks: Mapping[str, Mark]) -> Answer:
    if not 0 < len(copy) <= MOST_BYTES:
        raise Invalid("a copy of this size cannot be traced", rule=RULE, accepted=f"1 to {MOST_BYTES} bytes")
    head = msgspec.msgpack.encode(Order(_INSIDE, dict(marks), len(copy), _ADDRESSES, _CPU_SECONDS))
    with jail.call_filter() as seccomp, tempfile.TemporaryFile() as said:
        number = seccomp.fileno()
        try:
            done = subprocess.run(
                jail.command(_MODULE, {_INSIDE: original}, number), input=len(head).to_bytes(8, "big") + head + copy,
                stdout=said, stderr=subprocess.DEVNULL, env=jail.variables(), timeout=_WALL_SECONDS, check=False,
                start_new_session=True, cwd="/", pass_fds=(number,),
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            raise Unavailable("the copy could not be read in time, or not in a jail", rule=RULE) from None
        if done.returncode != 0 or said.tell() > _MOST_ANSWER:
            raise Unavailable("the copy could not be read", rule=RULE, accepted="a copy as it was found")
        said.seek(0)
        try:
            return msgspec.msgpack.decode(said.read(), type=Answer)
        except msgspec.MsgspecError:
            raise Unavailable("the reader of a copy did not answer as agreed", rule=RULE) from None
