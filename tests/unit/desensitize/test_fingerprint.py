"""The content hash: of the content alone, in pieces or whole, and found again without the engine."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desensitize import InvalidInput
from desensitize.fingerprint import ContentHash, hash_content
from tests.unit.desensitize.blake3 import blake3

ROWS = st.lists(
    st.tuples(st.text(max_size=8) | st.none(), st.integers(-(2**63), 2**63 - 1) | st.none()), min_size=1, max_size=40
)


def _frame(rows: list[tuple[Any, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"a": pl.String, "b": pl.Int64}, orient="row")


def _length(count: int) -> bytes:
    return bytes([count]) if count < 128 else bytes([count & 127 | 128]) + _length(count >> 7)


def _cell(value: Any) -> bytes:
    if value is None:
        return b"\x00"
    if isinstance(value, str):
        return b"\x05" + _length(len(value.encode())) + value.encode()
    return b"\x03" + bytes([value >= 0]) + _length(abs(value))


def test_find_the_hash_again_without_the_engine() -> None:
    rows = [("x", 5), ('y"\n中', None), (None, -300), ("x", 5), ("长" * 70, 2**62)]
    digests = sorted(blake3(b"\x0d\x02" + _cell(a) + _cell(b)) for a, b in rows)
    whole = hashlib.sha256(b'shuzha content 2\n["a", "b"]\n5\n')
    for group in range(256):
        held = [bytes.fromhex(one) for one in digests if int(one[:2], 16) == group]
        whole.update(hashlib.sha256(b"".join(held)).digest())
    assert hash_content(_frame(rows).lazy()) == (whole.hexdigest(), 5)


@given(ROWS, st.randoms(use_true_random=False), st.integers(0, 40))
@settings(deadline=None)
def test_hash_is_the_same_for_any_order_and_any_pieces(
    rows: list[tuple[Any, Any]], chance: random.Random, cut: int
) -> None:
    whole = hash_content(_frame(rows).lazy())
    mixed = chance.sample(rows, len(rows))
    first, second = ContentHash(["a", "b"]), ContentHash(["a", "b"])
    first.update(_frame(mixed[:cut]))
    second.update(_frame(mixed[cut:]))
    assert (first.merge(second).hexdigest(), first.rows) == whole


@given(ROWS, ROWS)
@settings(deadline=None)
def test_hash_differs_where_content_differs(one: list[tuple[Any, Any]], two: list[tuple[Any, Any]]) -> None:
    same = sorted(map(repr, one)) == sorted(map(repr, two))
    assert (hash_content(_frame(one).lazy()) == hash_content(_frame(two).lazy())) == same


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a": ["x1"], "b": ["1"]}, {"a": ["x"], "b": ["11"]}),
        ({"a": ["x"], "b": ["y"]}, {"a": ["y"], "b": ["x"]}),
        ({"a": ["x"]}, {"b": ["x"]}),
        ({"a": ["x"]}, {"a": ["x", "x"]}),
        ({"a": [None]}, {"a": [""]}),
        ({"a": [1]}, {"a": ["1"]}),
        ({"a": [1.0]}, {"a": [1]}),
        ({"a": []}, {"b": []}),
        ({"a": [dt.date(2020, 1, 1)]}, {"a": [dt.datetime(2020, 1, 1, tzinfo=dt.UTC)]}),
    ],
)
def test_hash_tells_apart(one: dict[str, list[Any]], two: dict[str, list[Any]]) -> None:
    assert hash_content(pl.LazyFrame(one))[0] != hash_content(pl.LazyFrame(two))[0]


def test_hash_does_not_depend_on_how_values_are_stored() -> None:
    day = dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)
    wide = pl.DataFrame({"a": [5, None], "b": ["x", "y"], "c": [day, None]})
    narrow = wide.select(
        pl.col("a").cast(pl.Int8), pl.col("b").cast(pl.Categorical), pl.col("c").cast(pl.Datetime("ns", "UTC"))
    )
    assert hash_content(wide.lazy()) == hash_content(narrow.lazy())


def test_hash_on_disk_equals_hash_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"a": [str(n % 700) for n in range(5000)]})
    whole = hash_content(frame.lazy())
    monkeypatch.setattr("desensitize.fingerprint._MOST_IN_MEMORY", 900)
    stored = ContentHash(["a"])
    for start in range(0, 5000, 400):
        stored.update(frame[start : start + 400])
    folder = stored._folder
    assert folder is not None
    assert folder.is_dir()
    assert stored.hexdigest() == whole[0]
    assert ContentHash(["a"]).merge(stored).hexdigest() == whole[0]
    del stored
    assert not folder.exists()


def test_hash_refuses_pieces_of_another_table() -> None:
    content = ContentHash(["a"])
    with pytest.raises(InvalidInput, match="columns a, in this order"):
        content.update(pl.DataFrame({"b": [1]}))
    with pytest.raises(InvalidInput, match="same columns"):
        content.merge(ContentHash(["b"]))
