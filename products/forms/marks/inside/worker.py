"""Reads one leaked copy beside its original and says what it found; in a jail, under caps.

python -m products.forms.marks.inside.worker   (order and copy on standard input, the answer on standard output)
"""

from __future__ import annotations

import resource
import sys

import msgspec

from products.forms.terms import Mark


class Order(msgspec.Struct, frozen=True):
    """Where the original lies, its marks, the copy's size and the caps."""

    original: str
    marks: dict[str, Mark]
    size: int
    addresses: int
    cpu_seconds: int


class Answer(msgspec.Struct, frozen=True):
    """What was found: rows of the copy, those matched, columns by the original's names, and a column's signs.

    `rows` and `signs` are little-endian int32 and int8. `failed` says why there is nothing.
    """

    rows: int = 0
    matched: int = 0
    columns: dict[str, str] = {}
    cells: dict[str, tuple[bytes, bytes]] = {}
    failed: str = ""


def main() -> int:
    """Do one order; return the exit code."""
    told = sys.stdin.buffer
    order = msgspec.msgpack.decode(told.read(int.from_bytes(told.read(8), "big")), type=Order)
    for kind, most in (
        (resource.RLIMIT_AS, order.addresses), (resource.RLIMIT_CPU, order.cpu_seconds), (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_FSIZE, 64 * 1024**2),
    ):  # fmt: skip
        resource.setrlimit(kind, (most, most))
    sys.stdout.buffer.write(msgspec.msgpack.encode(work(order, told.read(order.size))))
    return 0


def work(order: Order, data: bytes) -> Answer:
    """Return what the copy says."""
    # Parsers are loaded where files are read, after the caps.
    from pathlib import Path

    from products.forms.marks.inside.matching import match, read_copy
    from products.forms.marks.tables import read_table

    original = read_table(Path(order.original).read_bytes())[1]
    try:
        copy = read_copy(data)
    except Exception:  # Whatever a parser raises over a hostile file: it is not read, and its text is not repeated.
        return Answer(failed="the file is no table: CSV or Parquet")
    found = match(original, copy, order.marks)
    cells = {name: (rows.tobytes(), signs.tobytes()) for name, (rows, signs) in found.signs.items()}
    return Answer(found.rows, found.matched, found.columns, cells)


if __name__ == "__main__":
    sys.exit(main())
