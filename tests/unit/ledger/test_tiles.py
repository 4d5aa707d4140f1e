"""Tiles: the layout of C2SP tlog-tiles, enough to compute every root and proof, and never a payload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from shuzha.core.errors import NotFound
from shuzha.ledger import tree
from shuzha.ledger.layout import NewEntry
from shuzha.ledger.log import Log
from shuzha.ledger.tiles import Tile, list_tiles, parse_tile, read_tile, write_tiles
from shuzha.ledger.verify import verify_folder

SIZE = 1_100
SECRET = b"a-payload-that-stays-at-home"


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    import datetime as dt

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from shuzha.core.clock import FixedClock
    from shuzha.ledger.checkpoint import Signer

    signer = Signer("city.example/usage", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    moment = dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC)
    with Log(tmp_path_factory.mktemp("log") / "usage", signer, FixedClock(moment)) as log:
        log.append([NewEntry(f"usg_{n}", "usage", b'{"said":"%b"}' % SECRET) for n in range(SIZE)])
        log.publish()
        yield log


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1_234_067), "0/x001/x234/067"),  # The specification's own example.
        (Tile(0, 0), "0/000"),
        (Tile(None, 999), "entries/999"),
        (Tile(None, 1_000, 7), "entries/x001/000.p/7"),
        (Tile(63, 5, 255), "63/005.p/255"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path() == path
    assert parse_tile(path) == tile


@pytest.mark.parametrize(
    "path",
    ["", "0", "0/", "0/00", "0/0000", "00/000", "64/000", "0/x000/001", "0/x001/1", "0/001/002", "0/000.p/0",
     "0/000.p/256", "0/000.p/007", "0/000.p/", "-1/000", "entries", "entries/-01", "data/000", "0/../000", "0/000/"],
)  # fmt: skip
def test_a_path_that_no_tile_has_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        parse_tile(path)


def test_the_example_of_seventy_thousand_entries() -> None:
    found = [tile for tile in list_tiles(70_000) if tile.level is not None]
    assert sum(tile.level == 0 and tile.width == 256 for tile in found) == 273
    parts = [(tile.level, tile.number, tile.width) for tile in found if tile.level or tile.width < 256]
    assert parts == [(0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)]
    assert [(tile.level, tile.width) for tile in list_tiles(256) if tile.level is not None] == [(0, 256), (1, 1)]


def test_tiles_alone_give_the_signed_root_and_every_proof(grown: Log) -> None:
    hashes: dict[tuple[int, int], bytes] = {}
    for tile in list_tiles(SIZE):
        content = read_tile(grown.reader, tile, SIZE)
        if tile.level is not None:
            assert len(content) == 32 * tile.width
            for place in range(tile.width):
                hashes[8 * tile.level, tile.number * 256 + place] = content[32 * place : 32 * place + 32]

    def node(level: int, n: int) -> bytes:
        if (level, n) in hashes:
            return hashes[level, n]
        return tree.node_hash(node(level - 1, 2 * n), node(level - 1, 2 * n + 1))

    checkpoint = grown.reader.checkpoint()
    assert tree.root(node, SIZE) == checkpoint.root
    assert tree.inclusion_proof(node, 777, SIZE) == grown.reader.inclusion(777, SIZE)
    assert tree.consistency_proof(node, 600, SIZE) == grown.reader.consistency(600, SIZE)


def test_entry_bundles_hash_to_the_leaves_and_hold_no_payload(grown: Log) -> None:
    for tile in (Tile(None, 0), Tile(None, 4, 76)):
        content, leaves = (
            read_tile(grown.reader, tile, SIZE),
            read_tile(grown.reader, Tile(0, tile.number, tile.width), SIZE),
        )
        assert SECRET not in content
        assert b"salt" not in content
        place = 0
        while content:
            length = int.from_bytes(content[:2], "big")
            leaf, content = content[2 : 2 + length], content[2 + length :]
            assert sha256(b"\x00" + leaf).digest() == leaves[32 * place : 32 * place + 32]
            place += 1
        assert place == tile.width


@pytest.mark.parametrize("path", ["0/004", "0/004.p/77", "0/005", "1/000", "1/000.p/5", "2/000.p/1", "entries/004"])
def test_what_no_checkpoint_covers_is_not_found(grown: Log, path: str) -> None:
    with pytest.raises(NotFound):
        read_tile(grown.reader, parse_tile(path), SIZE)


def test_static_files_are_added_to_and_the_checkpoint_comes_last(
    open_log: Callable[[], Log], folder: Path, tmp_path: Path
) -> None:
    with open_log() as log:
        log.append([NewEntry(f"usg_{n}", "usage", b"{}") for n in range(300)])
        log.publish()
        assert write_tiles(log.reader, tmp_path / "www") == 5  # two bundles, two leaf tiles, one above
        before = {path: path.read_bytes() for path in (tmp_path / "www" / "tile").rglob("*") if path.is_file()}
        assert write_tiles(log.reader, tmp_path / "www") == 0
        log.append([NewEntry(f"usg_{n}", "usage", b"{}") for n in range(300, 520)])
        log.publish()
        write_tiles(log.reader, tmp_path / "www")
        assert (tmp_path / "www" / "checkpoint").read_text() == log.reader.note()
        assert all(path.read_bytes() == content for path, content in before.items()), "a tile never changes"
    assert verify_folder(folder).sound
