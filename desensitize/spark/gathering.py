"""The histogram of a Spark table, counted where the rows are and brought to the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import polars as pl

from desensitize.anonymity.histogram import Histogram
from desensitize.anonymity.reading import Source, build
from desensitize.errors import InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.spark.batches import Shape, Work, map_batches
from desensitize.spark.counting import Combinations, assemble
from desensitize.spark.schemas import write_type
from desensitize.spark.tables import SparkTable, run_on_spark
from desensitize.tables import open_table
from desensitize.transform.goals import DeltaPresence, KMap, LDiversity, Model, TCloseness


@dataclass(frozen=True, slots=True)
class _Count:
    """The job that counts the combinations of a batch."""

    combinations: Combinations

    def prepare(self) -> Work:
        return self.combinations.count


def read_histogram(
    table: SparkTable, hierarchies: Mapping[str, Hierarchy], models: tuple[Model, ...], entity: str | None
) -> Histogram:
    """Return the histogram of a Spark table for these models; a population may be a Spark frame or a table.

    It is never read coarser than it is: the driver must hold the distinct combinations. Refuses what
    `desensitize.anonymity.reading.build` refuses.
    """
    sensitive = tuple(dict.fromkeys(each.column for each in models if isinstance(each, LDiversity | TCloseness)))
    populations = [each.population for each in models if isinstance(each, DeltaPresence | KMap)]
    if any(each is not populations[0] for each in populations):
        raise InvalidPlan("delta-presence and k-map of one anonymization take the same population")
    population = _open_population(populations[0]) if populations else None
    theirs = population.empty() if isinstance(population, SparkTable) else population
    # What reading refuses about columns, it refuses about tables without rows too.
    build(Source(table.empty(), hierarchies, entity, sensitive, None if theirs is None else theirs.head(0)))
    found = _gather(table, Combinations(tuple(hierarchies), sensitive, entity))
    crowd = None
    if theirs is not None:
        owner = entity if entity in theirs.collect_schema() else None
        wanted = Combinations(tuple(hierarchies), (), owner)
        crowd = _gather(population, wanted) if isinstance(population, SparkTable) else wanted.fold(wanted.count(theirs))
    return assemble(found, hierarchies, sensitive, crowd)


def _open_population(population: object) -> SparkTable | pl.LazyFrame:
    if hasattr(population, "sparkSession"):
        return SparkTable.of(population)
    return open_table(population)  # type: ignore[arg-type]


def _gather(table: SparkTable, combinations: Combinations) -> pl.DataFrame:
    """Return the folded combinations of a table, as `Combinations.fold` makes them; entities are digests."""
    from pyspark.sql import Window
    from pyspark.sql import functions as sf

    needed = table.select(list(dict.fromkeys(combinations.columns)))
    made = combinations.count(needed.empty()).collect_schema()
    types = {name: write_type(dtype) for name, dtype in made.items()}
    if combinations.entity is not None:
        types["e"] = needed.frame.schema[combinations.entity].dataType.simpleString()
    schema = ", ".join(f"{name} {dtype}" for name, dtype in types.items())
    by_batch = map_batches(needed.frame, Shape.of(needed.schema), _Count(combinations), schema)
    keys = [name for name in made if name != "rows"]
    counted = by_batch.groupBy(*keys).agg(sf.sum("rows").alias("rows"))
    if combinations.entity is None:
        folded = counted.withColumn("people", sf.col("rows"))
    else:
        alone = sf.count(sf.lit(1)).over(Window.partitionBy("e")) == 1
        owner = sf.when(sf.col("plain"), None).otherwise(sf.sha2(sf.col("e").cast("string"), 256))
        marked = counted.withColumn("plain", alone).withColumn("ownerless", sf.col("e").isNull())
        grouped = marked.withColumn("e", owner).groupBy(*keys)
        folded = grouped.agg(
            sf.sum("rows").alias("rows"), sf.count(sf.lit(1)).alias("people"), sf.max("ownerless").alias("ownerless")
        )
    found = cast("pl.DataFrame", pl.from_arrow(run_on_spark(folded.toArrow)))
    if "ownerless" in found:
        combinations.refuse_nulls(bool(found["ownerless"].any()))
    return found
