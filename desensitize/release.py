"""A release: a plan carried out on a table, with the certificate that says what was found, done and measured.

`apply` transforms; `protect` transforms and then anonymizes until the measured risk meets the limits of the release
mode.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from desensitize.anonymity.anonymization import Anonymized, anonymize
from desensitize.anonymity.recoding import Recoded, recode_locally
from desensitize.certificate import CERTIFICATE_FILE, ENGINE_VERSION, Measurement, certify
from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.hierarchy import Hierarchy
from desensitize.identifiers.definitions import BY_ENTITY
from desensitize.risk.measures import Limits, Risk, limits_of
from desensitize.tables import Table, collect, hide, list_files, open_table
from desensitize.transform.expressions import build_expressions
from desensitize.transform.goals import LDiversity, TCloseness
from desensitize.transform.keys import SecretKey
from desensitize.transform.plan import Anonymity, Plan
from desensitize.transform.techniques import Clip, Keep, Mask, Noise, Round, Technique
from desensitize.writing import Parts, Watch, identify_files, store

MOST_TRIES = 8
# Fewer masked characters of an identifier are tried out, by its check digit or against a list of people.
LEAST_HIDDEN = 4


class Release:
    """A transformed table. `frame` is lazy; `write` stores it whole or not at all.

    `certificate` says how it came about.
    """

    def __init__(
        self,
        source: pl.LazyFrame,
        frame: pl.LazyFrame,
        plan: Plan,
        key: SecretKey | None,
        measurement: Measurement | None = None,
        found: Mapping[str, Any] | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        self.frame = frame
        self.plan = plan
        self.measurement = measurement
        self._source = source
        self._key = key
        self._found = found
        self._files = list(files)
        self._certificate: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Release({len(self.plan.columns)} columns planned)"

    @property
    def risk(self) -> Risk | None:
        """Return the measured risk, if this release was anonymized."""
        return self.measurement.risk if self.measurement else None

    @property
    def certificate(self) -> dict[str, Any]:
        """Return the certificate as plain values for JSON, without time and signature.

        Computed on first use, from all rows. Refuses a plan with noise whose table is not written yet: noise is drawn
        anew at each run, so only the written table can be certified.
        """
        if self._certificate is None and self.measurement is None and _draws(self.plan):
            raise InvalidPlan("the plan adds noise, drawn anew at each run: write the release first")
        if self._certificate is None:
            self._certificate = self._certify(self.frame)
        return self._certificate

    def write(
        self,
        directory: str | Path,
        *,
        part_rows: int | None = None,
        keep_unfinished: bool = False,
        progress: Callable[[int, int], None] | None = None,
        cancel: Callable[[], bool] | None = None,
        shuffle: bool | None = None,
    ) -> Path:
        """Store the table as Parquet with its certificate in a new directory and return it.

        Nobody ever sees half of it. Rows are streamed, so a table may be larger than memory. With `part_rows` it is
        stored in parts of so many rows, and a run that was killed is taken up where it stopped. `progress` hears
        (rows stored, rows in all); `cancel` is asked several times a second, and like Ctrl-C it leaves nothing,
        except finished parts with `keep_unfinished`. `shuffle` says whether rows are stored in random order, and is
        true for what was anonymized: in the table's own order, two releases can be joined row by row.

        Refuses a directory that is already there, parts of a table that did not come from a file, and unfinished parts
        of another input, plan or key, and shuffled parts. Raises Cancelled when cancelled.
        """
        parts = None if part_rows is None else Parts(part_rows, self._bind())
        return store(
            self.frame,
            Path(directory),
            self._finish,
            parts=parts,
            watch=Watch(progress, cancel),
            keep_unfinished=keep_unfinished,
            shuffle=self.measurement is not None if shuffle is None else shuffle,
        )

    def _bind(self) -> dict[str, str]:
        """Return what parts of this release are bound to."""
        if not self._files:
            raise InvalidInput("only a table that comes from files can be written in parts; leave out part_rows")
        return {
            "input": identify_files(self._files),
            "plan": hashlib.sha256(self.plan.to_toml().encode()).hexdigest(),
            "key": "none" if self._key is None else self._key.fingerprint(),
            "engine": ENGINE_VERSION,
        }

    def _finish(self, written: pl.LazyFrame, folder: Path) -> None:
        self._certificate = self._certify(written)
        text = json.dumps(self._certificate, ensure_ascii=False, indent=1, sort_keys=True)
        (folder / CERTIFICATE_FILE).write_text(text + "\n", encoding="utf-8")

    def _certify(self, written: pl.LazyFrame) -> dict[str, Any]:
        return certify(self._source, written, self.plan, self._key, self.measurement, self._found)


def apply(frame: Table, plan: Plan, key: bytes | None = None, *, found: Mapping[str, Any] | None = None) -> Release:
    """Return the release of `frame` by `plan`. Nothing is computed until its frame, file or certificate is asked for.

    `found` is what a scan of the table found (`ScanReport.to_dict`), for the certificate.
    A plan that asks for anonymity is carried out by `protect`. Refuses a plan that does not name exactly the table's
    columns, and a plan with pseudonyms without a key.
    """
    if plan.anonymity is not None:
        return protect(frame, plan, key, found=found)
    source = open_table(frame)
    secret = None if key is None else SecretKey(key)
    expressions = build_expressions(plan, source.collect_schema(), secret)
    return Release(source, source.select(expressions), plan, secret, found=found, files=list_files(frame))


def protect(
    frame: Table,
    plan: Plan,
    key: bytes | None = None,
    quasi_identifiers: Mapping[str, Hierarchy] | None = None,
    k: int | None = None,
    entity: str | None = None,
    suppression_limit: float | None = None,
    *,
    mode: str | None = None,
    limits: Limits | None = None,
    found: Mapping[str, Any] | None = None,
    max_visits: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Release:
    """Return the release of `frame` by `plan`, anonymized until its measured risk meets the limits of `mode`.

    What is not given is taken from the plan's `[anonymity]`. `quasi_identifiers` name columns as the plan leaves
    them; `entity` names a column of the input, which the plan may drop; k is raised to what the limits ask for.
    Refuses quasi-identifiers that the plan drops, and a table that cannot meet the limits.
    """
    goal = set_goal(plan, quasi_identifiers, k, entity, suppression_limit, limits, mode)
    source = open_table(frame)
    secret = None if key is None else SecretKey(key)
    schema = source.collect_schema()
    expressions = build_expressions(plan, schema, secret)
    check_names(plan, schema.names(), goal)
    hidden = [] if goal.entity is None else [pl.col(goal.entity).alias(hide(goal.entity))]
    transformed = source.select(*expressions, *hidden)
    if _draws(plan):
        # Anonymizing reads the table several times, and all must see the same noise.
        transformed = collect(transformed).lazy()
    result, reached = _anonymize_until(transformed, goal, max_visits, progress)
    risk = finish_risk(result.risk, plan, goal.entity, found)
    if not risk.meets:
        raise InvalidPlan(f"the release does not meet mode {goal.limits.mode}: {'; '.join(risk.reasons)}")
    measurement = Measurement(
        reached, result.levels, result.suppressed, result.loss, result.optimal, result.gap, result.visited, risk
    )
    made = result.frame.lazy()
    return Release(source, made.drop(hide(goal.entity)) if goal.entity else made, plan, secret, measurement, found)


@dataclass(frozen=True, slots=True)
class Goal:
    """The anonymity to reach: what the caller gave, else what the plan asks for, else the defaults."""

    hierarchies: Mapping[str, Hierarchy]
    k: int
    entity: str | None
    share: float
    limits: Limits
    metric: str = "loss"
    models: tuple[LDiversity | TCloseness, ...] = ()
    local: bool = False


def set_goal(
    plan: Plan,
    hierarchies: Mapping[str, Hierarchy] | None,
    k: int | None,
    entity: str | None,
    share: float | None,
    limits: Limits | None,
    mode: str | None,
) -> Goal:
    """Return what is to be reached; what is None is taken from the plan."""
    wanted = plan.anonymity or Anonymity({})
    accepted = limits or limits_of(mode or wanted.mode)
    return Goal(
        hierarchies=dict(hierarchies or wanted.hierarchies()),
        k=max(k or wanted.k, accepted.smallest_class),
        entity=entity or wanted.entity,
        share=wanted.suppression_limit if share is None else share,
        limits=accepted,
        metric=wanted.metric,
        models=wanted.goals(),
        local=wanted.local,
    )


def check_names(plan: Plan, names: list[str], goal: Goal) -> None:
    """Refuse a goal whose columns a table of these names lacks, or the plan does not release."""
    if not goal.hierarchies:
        raise InvalidPlan("give at least one quasi-identifier with its hierarchy")
    if goal.entity is not None and goal.entity not in names:
        raise InvalidInput(f"entity column `{goal.entity}` is not in the table; it has: {', '.join(names)}")
    for column in goal.hierarchies:
        if column not in plan.columns:
            raise InvalidPlan(f"quasi-identifier `{column}` is not a column of the plan")
        if plan.columns[column].technique == "drop":
            raise InvalidPlan(
                f"quasi-identifier `{column}` is dropped by the plan; leave it out of the quasi-identifiers"
            )
    for column in (model.column for model in goal.models):
        if column not in plan.columns or plan.columns[column].technique == "drop":
            raise InvalidPlan(f"sensitive column `{column}` of [anonymity] is not a column that the plan releases")


def _anonymize_until(
    frame: pl.LazyFrame, goal: Goal, max_visits: int | None, progress: Callable[[int, int], None] | None
) -> tuple[Anonymized | Recoded, int]:
    """Return the first anonymization, k doubled each time, whose risk meets the limits; the last one if none does."""
    entity = None if goal.entity is None else hide(goal.entity)
    k = goal.k
    for _ in range(MOST_TRIES):
        result = _anonymize(frame, goal, k, entity, max_visits, progress)
        if result.risk.meets:
            return result, k
        k *= 2
    return result, k // 2


def _anonymize(
    frame: pl.LazyFrame,
    goal: Goal,
    k: int,
    entity: str | None,
    max_visits: int | None,
    progress: Callable[[int, int], None] | None,
) -> Anonymized | Recoded:
    if goal.local:
        return recode_locally(
            frame, goal.hierarchies, k, entity=entity, models=goal.models, limits=goal.limits, progress=progress
        )
    return anonymize(
        frame,
        goal.hierarchies,
        k,
        goal.share,
        goal.metric,
        entity=entity,
        models=goal.models,
        limits=goal.limits,
        max_visits=max_visits,
        progress=progress,
    )


def finish_risk(risk: Risk, plan: Plan, entity: str | None, found: Mapping[str, Any] | None) -> Risk:
    """Return the risk under the entity's own name, at level 1 if the plan shows a direct identifier that was found."""
    columns = (found or {}).get("columns", ())
    direct = tuple(
        column["name"] for column in columns
        if column["role"] == "direct" and _shows(plan.columns.get(column["name"]), column)
    )  # fmt: skip
    if not direct:
        return replace(risk, entity=entity)
    reasons = (*risk.reasons, *(f"column `{name}` is a direct identifier that the plan shows" for name in direct))
    return replace(risk, entity=entity, level=1, meets=False, reasons=reasons)


def _shows(technique: Technique | None, found: Mapping[str, Any]) -> bool:
    """Say whether a technique leaves an identifier as it is, or so few characters hidden that they are soon tried."""
    if isinstance(technique, Mask):
        named = [*found.get("types", ()), *(each["entity"] for each in found.get("entities", ()))]
        least = min((BY_ENTITY[name].lengths[0] for name in named if name in BY_ENTITY), default=LEAST_HIDDEN)
        return technique.keep_first + technique.keep_last > max(0, least - LEAST_HIDDEN)
    # Rounded to ones, or cut to wide bounds, a number is what it was.
    return isinstance(technique, Keep | Round | Clip)


def _draws(plan: Plan) -> bool:
    """Say whether a plan draws noise, so that no two runs give the same table."""
    return any(isinstance(technique, Noise) for technique in plan.columns.values())
