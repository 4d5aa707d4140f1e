"""Columns encrypted with their format kept: digits stay digits, a length stays a length, a check digit stays right.

Words: the *body* of a cell is what is encrypted, between the characters that are kept and before the check character;
a body as a number is its *rank*. The cipher is FF1 (`ff1.py`) with AES-256 under a subkey of the release's key; the
tweak is the column's domain. A cell that does not fit (another character, too short for a domain of a million values)
becomes `*`.

FF1 leaves about one value of a domain unchanged. No cell may pass as it is, so each rank is taken with its neighbour
(last bit turned): where FF1 leaves one of the two unchanged, they exchange their results. All stays one-to-one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from desensitize.errors import InvalidInput
from desensitize.hierarchy import ANY
from desensitize.transform.columns import work_once
from desensitize.transform.ff1 import FF1, LEAST_DOMAIN, Numbers, largest_length
from desensitize.transform.keys import SecretKey
from desensitize.transform.reading import normalize_text
from desensitize.transform.residents import count_ranks, read_ranks, write_ranks
from desensitize.transform.techniques import Encrypt

Cells: TypeAlias = npt.NDArray[np.uint8]
Flags: TypeAlias = npt.NDArray[np.bool_]
Halves: TypeAlias = tuple[Numbers, Numbers]
Step: TypeAlias = Callable[[Numbers, Numbers], Halves]
_NONE = 255
_ONE = np.uint64(1)
_RESIDENT_SIZE = 18
_RESIDENT_CHECKS = np.frombuffer(b"10X98765432", dtype=np.uint8)
_RESIDENT_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])


def encrypt(expr: pl.Expr, technique: Encrypt, key: SecretKey) -> pl.Expr:
    """Return the expression of the encrypted cells of a text expression; null stays null."""
    if technique.normalize:
        expr = normalize_text(expr)
    return expr.map_batches(_Worker(technique, key, forward=True), return_dtype=pl.String, is_elementwise=True)


def decrypt_column(values: pl.Series, technique: Encrypt, key: bytes) -> pl.Series:
    """Return the cells that `encrypt` made these of, for whoever holds the key; `*` and null stay.

    Another key gives other values of the same form, not an error. Refuses columns that are not text.
    """
    if values.dtype != pl.String:
        raise InvalidInput(f"column `{values.name}` is {values.dtype}; encrypted cells are text")
    return _Worker(technique, SecretKey(key), forward=False)(values)


class _Worker:
    """The work on one batch. It holds the key object, not its bytes, so that it cannot be serialized."""

    def __init__(self, technique: Encrypt, key: SecretKey, *, forward: bool) -> None:
        self._technique = technique
        self._key = key
        self._forward = forward

    def __call__(self, values: pl.Series) -> pl.Series:
        return work_once(values, self._work)

    def _work(self, values: pl.Series) -> pl.Series:
        technique = self._technique
        if technique.check:
            return self._encrypt_texts(values, technique.keep_first)
        # What is kept may be any characters (浙A12345); what is encrypted is ASCII.
        first, last = technique.keep_first, technique.keep_last
        text = pl.col("v")
        inner = (text.str.len_chars().cast(pl.Int64) - first - last).clip(0)
        cells = values.to_frame("v").select(
            text.str.head(first), text.str.slice(first, inner).alias("body"), last=text.str.tail(last)
        )
        cells = cells.with_columns(self._encrypt_texts(cells["body"], 0).alias("made"))
        whole = pl.when(pl.col("made") == ANY).then(pl.lit(ANY)).otherwise(pl.concat_str("v", "made", "last"))
        return cells.select(whole.alias(values.name)).to_series()

    def _encrypt_texts(self, values: pl.Series, first: int) -> pl.Series:
        cells = values.to_frame("v").with_columns(length=pl.col("v").str.len_bytes()).with_row_index("row")
        made = [
            pl.DataFrame({"row": group["row"], "made": self._encrypt_group(group["v"], int(size), first)})
            for (size,), group in cells.drop_nulls("v").group_by("length")
        ]
        if not made:
            return pl.Series(values.name, [None] * len(values), dtype=pl.String)
        found = cells.select("row").join(pl.concat(made), on="row", how="left", maintain_order="left")
        return found["made"].alias(values.name)

    def _encrypt_group(self, texts: pl.Series, size: int, first: int) -> pl.Series:
        """Return the cells made of texts that are all `size` bytes long; `first` of them stay."""
        technique = self._technique
        body = slice(first, size - bool(technique.check))
        if not _fits(technique, size, body.stop - body.start):
            return pl.Series("made", [ANY], dtype=pl.String).new_from_index(0, len(texts))
        cells = np.frombuffer(texts.str.join("").item().encode(), dtype=np.uint8).reshape(-1, size)
        made, good = _change(cells, body, technique, self._cipher(), forward=self._forward)
        text = pl.Series("made", made).cast(pl.List(pl.UInt8)).cast(pl.Binary)
        # The bytes of cells that do not fit need not be text: they go before the cast.
        fitting = pl.when(pl.Series(good)).then(text).otherwise(pl.lit(ANY.encode()))
        return pl.select(fitting.cast(pl.String).alias("made")).to_series()

    def _cipher(self) -> FF1:
        technique = self._technique
        return FF1(self._key.derive("encrypt", "ff1"), len(technique.symbols), technique.domain.encode())


def _fits(technique: Encrypt, size: int, length: int) -> bool:
    if technique.check == "resident-id":
        return size == _RESIDENT_SIZE
    base = len(technique.symbols)
    return 2 <= length <= largest_length(base) and base**length >= LEAST_DOMAIN


def _change(cells: Cells, body: slice, technique: Encrypt, cipher: FF1, *, forward: bool) -> tuple[Cells, Flags]:
    """Return the changed cells, and which of them fit; a cell is a row of bytes."""
    symbols = np.frombuffer(technique.symbols.encode(), dtype=np.uint8)
    places = np.ascontiguousarray(cells.T)
    numerals = _lookup(symbols)[places[body]]
    good: Flags = (numerals != _NONE).all(axis=0)
    if technique.check:
        good &= ((places[: body.stop] >= ord("0")) & (places[: body.stop] <= ord("9"))).all(axis=0)
    if technique.check == "resident-id":
        ranks, real = read_ranks(np.where(good, numerals, 0))
        good &= real
        made = write_ranks(_change_ranks(np.where(good, ranks, np.uint64(0)), cipher, forward=forward))
    else:
        made = _change_numerals(np.where(good, numerals, 0), len(symbols), cipher, forward=forward)
    changed = places.copy()
    changed[body] = symbols[made]
    if technique.check:
        good &= _change_check(places, changed, technique.check)
    return np.ascontiguousarray(changed.T), good


def _lookup(symbols: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    table = np.full(256, _NONE, dtype=np.uint8)
    table[symbols] = np.arange(len(symbols), dtype=np.uint8)
    return table


def _change_numerals(numerals: Cells, base: int, cipher: FF1, *, forward: bool) -> Cells:
    length = len(numerals)
    half = length // 2
    first, last = (_to_number(part, base) for part in (numerals[:half], numerals[half:]))
    made = _permute(
        first,
        last,
        lambda a, b: cipher.encrypt(a, b, length),
        None if forward else lambda a, b: cipher.decrypt(a, b, length),
    )
    return np.concatenate([_to_numerals(made[0], base, half), _to_numerals(made[1], base, length - half)])


def _change_ranks(ranks: Numbers, cipher: FF1, *, forward: bool) -> Numbers:
    """Return other ranks of residents for these, one for one: FF1 on eight digits, again until the rank exists."""
    half = np.uint64(10**4)

    def walk(step: Step) -> Step:
        def walked(first: Numbers, last: Numbers) -> Halves:
            first, last = step(first, last)
            while len(outside := np.flatnonzero(first * half + last >= np.uint64(count_ranks()))):
                first[outside], last[outside] = step(first[outside], last[outside])
            return first, last

        return walked

    encrypted = walk(lambda a, b: cipher.encrypt(a, b, 8))
    decrypted = None if forward else walk(lambda a, b: cipher.decrypt(a, b, 8))
    first, last = _permute(ranks // half, ranks % half, encrypted, decrypted)
    return first * half + last


def _permute(first: Numbers, last: Numbers, encrypted: Step, decrypted: Step | None) -> Halves:
    """Return the results without any unchanged value; the last bit of `last` tells a value from its neighbour."""
    if decrypted is None:
        one, two = encrypted(first, last)
        other_one, other_two = encrypted(first, last ^ _ONE)
        swapped = ((one == first) & (two == last)) | ((other_one == first) & (other_two == last ^ _ONE))
        return np.where(swapped, other_one, one), np.where(swapped, other_two, two)
    one, two = decrypted(first, last)
    other_one, other_two = encrypted(one, two ^ _ONE)
    swapped = ((one == first) & (two == last)) | ((other_one == one) & (other_two == two ^ _ONE))
    return one, np.where(swapped, two ^ _ONE, two)


def _to_number(numerals: Cells, base: int) -> Numbers:
    number = np.zeros(numerals.shape[1], dtype=np.uint64)
    for place in numerals:
        number *= np.uint64(base)
        number += place
    return number


def _to_numerals(number: Numbers, base: int, length: int) -> Cells:
    made = np.empty((length, len(number)), dtype=np.uint8)
    for place in reversed(range(length)):
        rest = number // np.uint64(base)
        made[place] = number - rest * np.uint64(base)
        number = rest
    return made


def _change_check(before: Cells, after: Cells, check: str) -> Flags:
    """Put the check character of the changed places in; a wrong one stays as wrong as it was. Says which had one."""
    if check == "luhn":
        given = before[-1] - np.uint8(ord("0"))
        good: Flags = given <= 9
        wrong = given.astype(np.int64) - _luhn(before)
        after[-1] = (_luhn(after) + wrong) % 10 + ord("0")
        return good
    table = _lookup(_RESIDENT_CHECKS)
    table[ord("x")] = table[ord("X")]
    given = table[before[-1]]
    wrong = given.astype(np.int64) - _resident_sum(before)
    after[-1] = _RESIDENT_CHECKS[(_resident_sum(after) + wrong) % 11]
    had: Flags = given != _NONE
    return had


def _luhn(places: Cells) -> npt.NDArray[np.int64]:
    """Return the check digits of the digits before the last place."""
    digits = places[-2::-1].astype(np.int64) - ord("0")
    doubled = digits[::2] * 2
    total: npt.NDArray[np.int64] = (doubled - 9 * (doubled > 9)).sum(axis=0) + digits[1::2].sum(axis=0)
    return -total % 10


def _resident_sum(places: Cells) -> npt.NDArray[np.int64]:
    total: npt.NDArray[np.int64] = _RESIDENT_WEIGHTS @ (places[:-1].astype(np.int64) - ord("0"))
    return total
