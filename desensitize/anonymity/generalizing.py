"""Writing rows at chosen levels, without the classes that fail: on one machine, or on each batch of a larger table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from desensitize.anonymity.histogram import Bools, Histogram, Ints, Levels
from desensitize.leaves import as_leaf


@dataclass(frozen=True, slots=True)
class Relabelling:
    """One column's leaves and what stands in their place; no leaves: one label for all; neither: it is unchanged."""

    column: str
    leaves: pl.Series | None
    labels: pl.Series | None

    def write(self, dtype: pl.DataType) -> pl.Expr | None:
        """Return the expression of the column at its level, None where it is unchanged."""
        if self.labels is None:
            if isinstance(dtype, pl.Enum):
                # The type itself lists every value, those of left out rows too.
                return pl.col(self.column).cast(pl.String)
            if not dtype.is_float():
                return None
            # Minus zero is in the class of zero, and must not be told apart in it.
            return pl.when(pl.col(self.column) == 0).then(pl.lit(0, dtype)).otherwise(pl.col(self.column))
        if self.leaves is None:
            return pl.lit(self.labels[0], dtype=pl.String)
        return as_leaf(self.column, dtype).replace_strict(self.leaves, self.labels, return_dtype=pl.String)


@dataclass(frozen=True, slots=True)
class Generalizing:
    r"""How rows are rewritten. It holds labels only, not the histogram, so it can be sent to where the rows are.

    `gone` lists the classes that are left out, `kept` the others: a column `\x00class0`, `\x00class1`, … for each
    relabelling under which classes differ.
    """

    columns: tuple[Relabelling, ...]
    gone: pl.DataFrame
    kept: pl.DataFrame

    @classmethod
    def of(cls, histogram: Histogram, levels: Levels, failing: Ints) -> Generalizing:
        """Return the rewriting to these levels; `failing` are the tuples whose classes are left out."""
        columns: list[Relabelling] = []
        differing: dict[str, tuple[pl.Series, Ints]] = {}
        for position, (attribute, level) in enumerate(zip(histogram.attributes, levels, strict=True)):
            labels = labels_at(histogram, position, level)
            if not level:
                columns.append(Relabelling(attribute.column, None, None))
            elif len(attribute.labels[level]) == 1:
                columns.append(Relabelling(attribute.column, None, labels.head(1)))
                if differing or position + 1 < len(levels):
                    continue
            else:
                columns.append(Relabelling(attribute.column, pl.Series(attribute.leaves, dtype=pl.String), labels))
            differing[_key(position)] = (labels, histogram.leaf[position])
        key, _ = histogram.classes(levels)
        classes, first = np.unique(key, return_index=True)
        out = np.isin(classes, key[failing])
        gone, kept = (
            pl.DataFrame({name: labels.gather(leaf[one]) for name, (labels, leaf) in differing.items()})
            for one in (first[out], first[~out])
        )
        return cls(tuple(columns), gone, kept)

    def rewrite(self, table: pl.LazyFrame) -> pl.LazyFrame:
        """Return the rows of `table`, or of a batch of it, at their levels and without the classes left out."""
        schema = table.collect_schema()
        made = {each.column: each.write(schema[each.column]) for each in self.columns}
        written = table.with_columns(**{column: label for column, label in made.items() if label is not None})
        if not self.gone.height:
            return written
        keys = [
            (as_leaf(each.column, schema[each.column]) if each.labels is None else pl.col(each.column)).alias(name)
            for name, each in ((_key(place), each) for place, each in enumerate(self.columns))
            if name in self.gone.columns
        ]
        if (hashes := self._hash_apart()) is not None:
            return written.filter(~pl.struct(keys).hash().is_in(hashes.implode()))
        names = self.gone.columns
        return written.with_columns(keys).join(self.gone.lazy(), on=names, how="anti", nulls_equal=True).drop(names)

    def _hash_apart(self) -> pl.Series | None:
        """Return the hashes of the classes left out; None when one that is kept shares a hash with one of them.

        A row's class is then known by its hash alone, four times as fast as by a join. Made where the rows are, for
        another processor may hash otherwise.
        """
        every = pl.struct(pl.all()).hash()
        gone, kept = (table.select(every.alias("h")).to_series() for table in (self.gone, self.kept))
        return None if kept.is_in(gone.implode()).any() else gone


def write_rows(frame: pl.DataFrame, histogram: Histogram, levels: Levels, failing: Bools) -> pl.DataFrame:
    """Return the rows of a table in memory at their levels, without those of the `failing` tuples.

    The histogram knows the tuple of every row, so each label is looked up by a number, and nothing is compared again.
    """
    assert histogram.place is not None
    place = pl.Series(histogram.place)
    lifted = {
        attribute.column: labels_at(histogram, position, level).gather(histogram.leaf[position])
        for position, (attribute, level) in enumerate(zip(histogram.attributes, levels, strict=True))
        if level
    }
    rest = frame.select(column for column in frame.columns if column not in lifted)
    if failing.any():
        kept = pl.Series(~failing[histogram.place])
        rest, place = rest.filter(kept), place.filter(kept)
    kinds = {attribute.column: frame.schema[attribute.column] for attribute in histogram.attributes}
    made = {column: Relabelling(column, None, None).write(kind) for column, kind in kinds.items() if column in rest}
    rest = rest.with_columns(**{column: written for column, written in made.items() if written is not None})
    return pl.DataFrame(
        [(lifted[column].gather(place) if column in lifted else rest[column]).alias(column) for column in frame.columns]
    )


def labels_at(histogram: Histogram, position: int, level: int) -> pl.Series:
    """Return the label of every leaf of one attribute at a level, in the order of its leaves."""
    attribute = histogram.attributes[position]
    labels = attribute.labels[level]
    return pl.Series([labels[code] for code in attribute.codes[level].tolist()], dtype=pl.String)


def list_classes(histogram: Histogram, levels: Levels, failing: Ints) -> pl.DataFrame:
    """Return one row per kept class: its labels by column, `class_rows`, and its distinct `class_entities`."""
    key, _ = histogram.classes(levels)
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    member = member.astype(np.int64)
    rows = np.bincount(member, histogram.rows, len(first)).astype(np.int64)
    kept = np.setdiff1d(np.flatnonzero(rows), member[failing])
    columns = {
        attribute.column: labels_at(histogram, position, level).gather(histogram.leaf[position][first[kept]])
        for position, (attribute, level) in enumerate(zip(histogram.attributes, levels, strict=True))
    }
    entities = histogram.entities.count(member, len(first))[kept]
    sizes = pl.DataFrame({"class_rows": rows[kept], "class_entities": entities})
    return pl.DataFrame(columns).hstack(sizes)


def _key(position: int) -> str:
    return f"\x00class{position}"
