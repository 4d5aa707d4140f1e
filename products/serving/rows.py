"""From raw rows to keys and claim bits: the only place where the index meets data.

What a claim means is said once, by the airlock (`sandbox.airlock.recompute`), which judged it; what a row filter means
is said once, by the releases. Rows stream through in batches: neither a subject nor a row is looked at one by one, but
for texts outside ASCII and the common Chinese characters, which are normalised as a question's are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import polars_hash as plh

from products.serving.segments import Bits, Words
from products.serving.subjects import hash_key, message, subject_hash
from sandbox.airlock.recompute import check_columns, condition
from sandbox.airlock.specification import VerificationSpecification
from shuzha.core.conditions import Condition
from shuzha.releases.filters import to_expression

BATCH_ROWS = 500_000
# Letters of which the normal form is plain to see: ASCII, the middle dot of names, and Chinese characters.
_PLAIN = r"^[\x20-\x7e\x{b7}\x{3400}-\x{4dbf}\x{4e00}-\x{9fff}\x{20000}-\x{2a6df}]*$"
# Longer than any name that an entry may give to a column.
_MARK = "_" * 64
_HIGH, _LOW, _BITS, _ODD, _MESSAGE = (f"{_MARK}{name}" for name in ("high", "low", "bits", "odd", "message"))
_DIGEST, _ROW, _ODDS = f"{_MARK}digest", f"{_MARK}row", f"^{_ODD}.*$"
# What stands for every subject with an unusual letter, until it is hashed by itself.
_UNUSUAL = pl.DataFrame({_MESSAGE: ["?"]})

Take = Callable[["KeyedRows"], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is read of a row: the specification within the grant's row filter, under the product's key."""

    specification: VerificationSpecification
    row_filter: Sequence[Condition]
    key: bytes

    @property
    def columns(self) -> list[str]:
        """Every column that a row needs: those of the specification and of the filter."""
        return sorted({*self.specification.used_columns, *(one.column for one in self.row_filter)})


@dataclass(frozen=True, slots=True)
class KeyedRows:
    """Rows as the index knows them: the two words of each key, and the bits of the claims that the row meets."""

    high: Words
    low: Words
    bits: Bits

    @property
    def columns(self) -> tuple[Words, Words, Bits]:
        """The three columns."""
        return self.high, self.low, self.bits

    def __len__(self) -> int:
        return len(self.high)


def read_keyed(rows: pl.LazyFrame, recipe: Recipe, take: Take, only: pl.DataFrame | None = None) -> None:
    """Hand over the granted rows that name a whole subject, in batches, in no order; what `take` raises ends it.

    With `only` (from `written_subjects`) at least the rows of those subjects come, and few others. Refuses columns that
    the data lacks and conditions whose value is of another type.
    """
    frame = _prepared(rows, recipe)
    if only is not None:
        frame = frame.join(pl.concat([only, _UNUSUAL]).lazy(), on=_MESSAGE, how="semi")

    def hand_over(batch: pl.DataFrame) -> None:
        if batch.height:
            take(_keyed(batch, recipe))

    # Not `collect_batches`: it ends as if all had been read where the engine panics.
    _hashed(frame, recipe).sink_batches(hand_over, chunk_size=BATCH_ROWS, maintain_order=False, engine="streaming")


def written_subjects(rows: pl.LazyFrame, recipe: Recipe) -> pl.DataFrame:
    """Return the subjects that rows name, as they are written before hashing; stays inside the build."""
    frame = _prepared(rows, recipe).drop(_BITS).unique().collect(engine="streaming")
    odd = frame.select(pl.col(_ODDS)).drop_nulls()
    plain = frame.filter(pl.all_horizontal(pl.col(_ODDS).is_null())).select(_MESSAGE)
    written = pl.DataFrame({_MESSAGE: [message(parts).decode() for parts in odd.iter_rows()]}, {_MESSAGE: pl.String})
    return pl.concat([plain, written]).unique()


def _prepared(rows: pl.LazyFrame, recipe: Recipe) -> pl.LazyFrame:
    """Return of each granted row what is hashed, its claim bits, and its subject's texts where they are unusual."""
    specification = recipe.specification
    schema = rows.collect_schema()
    check_columns(recipe.columns, schema)
    granted = to_expression(recipe.row_filter, dict(schema))
    met = [
        condition(claim.where, schema).cast(pl.UInt8) * pl.lit(1 << place, pl.UInt8)
        for place, claim in enumerate(specification.claims)
    ]
    kept = (rows if granted is None else rows.filter(granted)).drop_nulls(specification.subject)
    texts = [pl.col(name).cast(pl.String) for name in specification.subject]
    is_odd = pl.any_horizontal([~text.str.contains(_PLAIN) for text in texts])
    odd = [pl.when(is_odd).then(text).alias(f"{_ODD}{place}") for place, text in enumerate(texts)]
    written = pl.when(is_odd).then(pl.lit(_UNUSUAL.item())).otherwise(_message(texts)).alias(_MESSAGE)
    return kept.select(written, pl.sum_horizontal(met).cast(pl.UInt8).alias(_BITS), *odd)


def _hashed(frame: pl.LazyFrame, recipe: Recipe) -> pl.LazyFrame:
    digest = plh.col(_MESSAGE).chash.hmac_sha256(key=hash_key(recipe.key)).str.head(32).str.decode("hex")
    return frame.with_columns(digest.alias(_DIGEST)).select(
        _word(0).alias(_HIGH), _word(8).alias(_LOW), pl.col(_BITS), pl.col(_ODDS)
    )


def _message(texts: Sequence[pl.Expr]) -> pl.Expr:
    parts: list[pl.Expr] = []
    for text in texts:
        plain = text.str.strip_chars(" ").str.to_uppercase()
        parts += [plain.str.len_bytes().cast(pl.String), pl.lit(":"), plain]
    return pl.concat_str(parts)


def _word(start: int) -> pl.Expr:
    return pl.col(_DIGEST).bin.slice(start, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big")


def _keyed(frame: pl.DataFrame, recipe: Recipe) -> KeyedRows:
    high, low, bits = frame[_HIGH].to_numpy(), frame[_LOW].to_numpy(), frame[_BITS].to_numpy()
    odd = frame.select(pl.col(_ODDS)).with_row_index(_ROW).drop_nulls()
    if odd.height:
        high, low, places = high.copy(), low.copy(), odd[_ROW].to_numpy()
        digests = b"".join([subject_hash(recipe.key, parts) for _, *parts in odd.iter_rows()])
        words = np.frombuffer(digests, dtype=">u8").astype(np.uint64)
        high[places], low[places] = words[::2], words[1::2]
    return KeyedRows(high, low, bits)
