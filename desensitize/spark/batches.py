"""Work on the Arrow batches of a Spark table: polars in, polars out, in the worker processes of executors.

A *job* is what a task needs to know; it is pickled and sent to executors, so it holds no key and no table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from desensitize.tables import run_quietly

if TYPE_CHECKING:
    import pyarrow as pa

Work = Callable[[pl.LazyFrame], pl.LazyFrame]


class Job(Protocol):
    """Work that is prepared once in each task and then done on each of its batches."""

    def prepare(self) -> Work:
        """Return the work; what it holds (such as a key) stays in this process."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of the batches, by name and polars type: a timestamp keeps the zone it had when the job was made."""

    columns: tuple[tuple[str, pl.DataType], ...]

    @classmethod
    def of(cls, schema: pl.Schema) -> Shape:
        """Return the shape of a polars schema."""
        return cls(tuple(schema.items()))

    def read(self, batch: pa.RecordBatch) -> pl.DataFrame:
        """Return a batch as a polars frame."""
        made = pl.from_arrow(batch)
        assert isinstance(made, pl.DataFrame)
        return made.cast(dict(self.columns))


def map_batches(frame: Any, shape: Shape, job: Job, schema: Any) -> Any:
    """Return the Spark frame, of this Spark schema, that a job makes of another's batches. Nothing is computed yet."""

    def desensitize_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return run_batches(batches, shape, job)

    return frame.mapInArrow(desensitize_batches, schema)


def run_batches(batches: Iterator[pa.RecordBatch], shape: Shape, job: Job) -> Iterator[pa.RecordBatch]:
    """Yield the batches that a job makes of these. An error never quotes a value."""
    work = job.prepare()
    for batch in batches:
        read = shape.read(batch)
        made = run_quietly(lambda read=read: work(read.lazy()).collect())  # type: ignore[misc]
        yield from write_batches(made)


def write_batches(frame: pl.DataFrame) -> list[pa.RecordBatch]:
    """Return a polars frame as Arrow batches with the types that Spark reads: text with 32-bit offsets."""
    import pyarrow as pa

    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    short = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    plain = pa.schema([field.with_type(short.get(field.type, field.type)) for field in table.schema])
    made: list[pa.RecordBatch] = table.cast(plain).to_batches()
    return made
