"""A release made on Spark: the same plan, the same rows, the same content hash as on one machine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from desensitize.anonymity.lattice import Budget
from desensitize.anonymity.task import make_task
from desensitize.certificate import CERTIFICATE_FILE, Measurement, assemble, describe_content
from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.release import MOST_TRIES, Goal, check_names, finish_risk, set_goal
from desensitize.risk.measures import Limits, Risk
from desensitize.spark.anonymization import Counted, Progress, SparkAnonymized
from desensitize.spark.hashing import hash_content
from desensitize.spark.keys import KeySource, read_key
from desensitize.spark.tables import SparkTable, run_on_spark
from desensitize.spark.transforming import transform
from desensitize.tables import hide
from desensitize.transform.plan import Plan

DATA_FOLDER = "data"


class SparkRelease:
    """A transformed Spark table. `frame` is a Spark frame that is not computed yet; `write` stores it with its hash.

    `certificate` says how it came about.
    """

    def __init__(
        self,
        source: SparkTable,
        made: SparkTable,
        plan: Plan,
        key: KeySource | None,
        measurement: Measurement | None = None,
        found: Mapping[str, Any] | None = None,
    ) -> None:
        self.plan = plan
        self.measurement = measurement
        self._source = source
        self._made = made
        self._key = key
        self._found = found
        self._certificate: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"SparkRelease({len(self.plan.columns)} columns planned)"

    @property
    def frame(self) -> Any:
        """Return the released rows as a Spark frame. They are computed anew at each use."""
        return self._made.frame

    @property
    def risk(self) -> Risk | None:
        """Return the measured risk, if this release was anonymized."""
        return self.measurement.risk if self.measurement else None

    @property
    def certificate(self) -> dict[str, Any]:
        """Return the certificate as plain values for JSON, without time and signature.

        Computed on first use, from all rows. It is the one-machine certificate, without the risk before and without the
        utility by column, which are not measured on Spark. Refuses a plan with noise whose table is not written yet.
        """
        if self._certificate is None and _draws(self.plan):
            raise InvalidPlan("the plan adds noise, drawn anew at each use of the frame: write the release first")
        if self._certificate is None:
            self._certificate = self._certify(self._made)
        return self._certificate

    def content_hash(self) -> tuple[str, int]:
        """Return (content hash in hexadecimal, number of rows) of the release: that of the same rows on one machine."""
        return hash_content(self._made.frame, self._made.schema)

    def write(self, folder: str) -> str:
        """Store the rows as Parquet in `folder`/data with the certificate beside, and return the folder.

        `folder` is any path that Spark writes to. Everything is made in a hidden folder beside it, which is renamed at
        the end: on a file system (local, HDFS) nobody sees half a release; an object store copies instead. The hash is
        that of what was stored. Refuses a folder that is already there.
        """
        session = self.frame.sparkSession
        hadoop = session.sparkContext._jvm.org.apache.hadoop.fs  # noqa: SLF001 (PySpark's only way to file systems)
        target = hadoop.Path(folder)
        files = target.getFileSystem(session.sparkContext._jsc.hadoopConfiguration())  # noqa: SLF001
        if files.exists(target):
            raise InvalidInput(f"folder `{target.getName()}` is already there; a release is written once, to a new one")
        partial = hadoop.Path(target.getParent(), f".{target.getName()}.{uuid.uuid4().hex}.partial")
        try:
            data = hadoop.Path(partial, DATA_FOLDER).toString()
            run_on_spark(lambda: self.frame.write.parquet(data))
            written = SparkTable(session.read.schema(self.frame.schema).parquet(data), self._made.schema)
            self._certificate = self._certify(written)
            text = json.dumps(self._certificate, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
            stream = files.create(hadoop.Path(partial, CERTIFICATE_FILE))
            stream.write(bytearray(text.encode()))
            stream.close()
            if not files.rename(partial, target):
                raise InvalidInput(f"folder `{target.getName()}` could not be put in its place")
        finally:
            files.delete(partial, True)
        return folder

    def _certify(self, made: SparkTable) -> dict[str, Any]:
        source = self._source
        return assemble(
            describe_content(*hash_content(source.frame, source.schema), source.schema),
            describe_content(*hash_content(made.frame, made.schema), made.schema),
            self.plan,
            read_key(self._key),
            self.measurement,
            self._found,
        )


def apply(frame: Any, plan: Plan, key: KeySource | None = None) -> SparkRelease:
    """Return the release of a Spark frame by `plan`; nothing is computed yet. `key` says where each executor reads it.

    A plan that asks for anonymity is carried out by `protect`. Refuses a plan that does not name exactly the table's
    columns, columns of types that `read_schema` refuses, a plan with pseudonyms without a key, and a key itself.
    """
    if plan.anonymity is not None:
        return protect(frame, plan, key)
    source = SparkTable.of(frame)
    return SparkRelease(source, transform(source, plan, key), plan, key)


def protect(
    frame: Any,
    plan: Plan,
    key: KeySource | None = None,
    quasi_identifiers: Mapping[str, Hierarchy] | None = None,
    k: int | None = None,
    entity: str | None = None,
    suppression_limit: float | None = None,
    *,
    mode: str | None = None,
    limits: Limits | None = None,
    found: Mapping[str, Any] | None = None,
    max_visits: int | None = None,
    progress: Progress | None = None,
) -> SparkRelease:
    """Return the release of a Spark frame by `plan`, anonymized until its measured risk meets the limits of `mode`.

    Arguments mean what they mean for `desensitize.protect`. The table is counted once, however often k is raised.
    Refuses what `desensitize.protect` refuses, local recoding, which needs the whole table in one place, and noise.
    """
    goal = set_goal(plan, quasi_identifiers, k, entity, suppression_limit, limits, mode)
    if goal.local:
        raise InvalidPlan("local recoding is not done on Spark; set local = false, or release on one machine")
    if _draws(plan):
        raise InvalidPlan(
            "the plan adds noise, drawn anew at each use: write it without anonymity, then anonymize that"
        )
    source = SparkTable.of(frame)
    made = transform(source, plan, key, goal.entity if goal.entity in source.schema else None)
    check_names(plan, source.schema.names(), goal)
    result, reached = _anonymize_until(made, goal, max_visits, progress)
    risk = finish_risk(result.risk, plan, goal.entity, found)
    if not risk.meets:
        raise InvalidPlan(f"the release does not meet mode {goal.limits.mode}: {'; '.join(risk.reasons)}")
    measurement = Measurement(
        reached, result.levels, result.suppressed, result.loss, result.optimal, result.gap, result.visited, risk
    )
    released = SparkTable.of(result.frame)
    if goal.entity:
        released = released.select([name for name in released.schema if name != hide(goal.entity)])
    return SparkRelease(source, released, plan, key, measurement, found)


def _anonymize_until(
    made: SparkTable, goal: Goal, max_visits: int | None, progress: Progress | None
) -> tuple[SparkAnonymized, int]:
    """Return the first anonymization, k doubled each time, whose risk meets the limits; the last one if none does."""
    entity = None if goal.entity is None else hide(goal.entity)
    task = make_task(made.empty(), goal.hierarchies, goal.k, entity=entity, models=goal.models)
    counted = Counted.of(made, goal.hierarchies, task.models, entity)
    k = goal.k
    for _ in range(MOST_TRIES):
        result = counted.anonymize(k, goal.share, goal.metric, goal.limits, Budget(max_visits), progress)
        if result.risk.meets:
            return result, k
        k *= 2
    return result, k // 2


def _draws(plan: Plan) -> bool:
    """Say whether a plan draws noise, so that no two runs give the same table."""
    return any(technique.technique == "noise" for technique in plan.columns.values())
