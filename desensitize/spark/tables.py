"""A Spark frame as the engine sees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import polars as pl

from desensitize import errors
from desensitize.spark.schemas import quote, read_schema

Result = TypeVar("Result")
_OURS = re.compile(r"desensitize\.errors\.(\w+): (.*)")


@dataclass(frozen=True, slots=True)
class SparkTable:
    """A Spark frame with its polars schema."""

    frame: Any
    schema: pl.Schema

    @classmethod
    def of(cls, frame: Any) -> SparkTable:
        """Return the table of a Spark frame. Refuses what `read_schema` refuses."""
        zone = frame.sparkSession.conf.get("spark.sql.session.timeZone")
        return cls(frame, read_schema(frame.schema, zone))

    def empty(self) -> pl.LazyFrame:
        """Return a polars table of the same columns without rows: what a plan refuses is refused on it."""
        return pl.LazyFrame(schema=self.schema)

    def select(self, columns: Sequence[str]) -> SparkTable:
        """Return the table of these columns alone."""
        quoted = [quote(column) for column in columns]
        return SparkTable(self.frame.select(*quoted), pl.Schema({column: self.schema[column] for column in columns}))


def run_on_spark(work: Callable[[], Result]) -> Result:
    """Return what a Spark action returns; an error of this engine in a task is raised as the error that it is."""
    from pyspark.errors import PySparkException

    try:
        return work()
    except PySparkException as error:
        found = _OURS.findall(str(error))
        kind = getattr(errors, found[-1][0], None) if found else None
        if kind is None:
            raise
        raise kind(found[-1][1]) from None
