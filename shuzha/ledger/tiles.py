"""A log as public, immutable files: the tree's hashes and the entries' leaf data, in the layout of C2SP tlog-tiles.

A *tile* of level L and number n holds up to 256 hashes of the nodes (8 L, 256 n ...); an *entry bundle* holds the leaf
data of up to 256 entries, each behind its length in two bytes. Leaf data are headers with a salted commitment: no
payload and no salt ever leaves by this way. Only what a signed checkpoint covers is given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shuzha.core.errors import NotFound
from shuzha.ledger.reader import LogReader

WIDTH = 256
_LEVEL = re.compile(r"[0-9]|[1-5][0-9]|6[0-3]")
_NUMBER = re.compile(r"((?:x[0-9]{3}/){0,4})([0-9]{3})")
_PART = re.compile(r"(.*)\.p/([1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True)
class Tile:
    """One file: hashes of a level, or with `level` None a bundle of entries; `width` below 256 is a partial one."""

    level: int | None
    number: int
    width: int = WIDTH

    def path(self) -> str:
        """Return the file's path below `tile/`."""
        digits = f"{self.number:03d}"
        digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
        groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
        number = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        part = "" if self.width == WIDTH else f".p/{self.width}"
        return f"{'entries' if self.level is None else self.level}/{number}{part}"


def parse_tile(path: str) -> Tile:
    """Return the tile of a path below `tile/`; raises NotFound for a path that no tile has."""
    first, slash, rest = path.partition("/")
    part = _PART.fullmatch(rest)
    number = _NUMBER.fullmatch(part[1] if part else rest)
    width = int(part[2]) if part else WIDTH
    if slash and number and (first == "entries" or _LEVEL.fullmatch(first)) and (not part or width < WIDTH):
        tile = Tile(
            None if first == "entries" else int(first),
            int(number[1].replace("x", "").replace("/", "") + number[2]),
            width,
        )
        if tile.path() == path:
            return tile
    raise NotFound(
        "no tile has this path", accepted="tile/<level or entries>/<number>[.p/<width>], as C2SP tlog-tiles says"
    )


def read_tile(reader: LogReader, tile: Tile, size: int) -> bytes:
    """Return a tile of the log of `size` entries; raises NotFound for one that this log doesn't have (yet)."""
    level = tile.level or 0
    end = tile.number * WIDTH + tile.width
    if level > 7 or end << (8 * level) > size:
        raise NotFound(f"log {reader.key.name} of {size} entries has no tile {tile.path()}")
    places = range(tile.number * WIDTH, end)
    if tile.level is None:
        leaves = (entry.leaf for entry in reader.entries(places.start, places.stop))
        return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)
    return reader.nodes(8 * level, places)


def list_tiles(size: int, since: int = 0) -> Iterator[Tile]:
    """Yield the tiles that a log of `size` entries has and one of `since` entries had not, whole ones and partial."""
    for level in (None, *range(8)):
        nodes, before = size >> (8 * (level or 0)), since >> (8 * (level or 0))
        for number in range(before // WIDTH, -(-nodes // WIDTH)):
            width = min(WIDTH, nodes - number * WIDTH)
            if number * WIDTH + width > before:
                yield Tile(level, number, width)


def write_tiles(reader: LogReader, folder: Path) -> int:
    """Write the signed log as static files into `folder`, for any web server, and return how many were new.

    The checkpoint comes last, so that whoever reads it finds every file that it covers. Run again, it adds what is new.
    """
    note = reader.note()
    size = reader.key.verify(note).size
    written = 0
    for tile in list_tiles(size):
        path = folder / "tile" / tile.path()
        if not path.exists():
            _write(path, read_tile(reader, tile, size))
            written += 1
    _write(folder / "key", f"{reader.key.line()}\n".encode())
    _write(folder / "checkpoint", note.encode())
    return written


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.new")
    with half.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
