"""A release whose rows are synthetic: a plan carried out, its table replaced under differential privacy, certified.

Nothing of the original is in it but what the noise let through: neither its number of rows nor its hash stands in the
certificate.
"""

from __future__ import annotations

import json
import platform
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from desensitize.certificate import CERTIFICATE_FILE, CERTIFICATE_VERSION, ENGINE_VERSION, describe
from desensitize.dp.answers import Debits
from desensitize.dp.synthetic import Synthesis, synthesize
from desensitize.dp.synthetic_domain import Column, Domain
from desensitize.errors import InvalidInput, InvalidPlan
from desensitize.tables import Table, hide, open_table, run_quietly
from desensitize.transform.expressions import build_expressions
from desensitize.transform.keys import SecretKey
from desensitize.transform.plan import Plan, write_toml
from desensitize.writing import store


@dataclass(frozen=True, slots=True)
class SyntheticPlan:
    """A plan whose transformed table is replaced by a synthetic one: the part `[synthetic]` of its TOML.

    `columns` are the domains of the columns for which the plan's techniques do not say themselves which values come
    out. `entity` is a column of the input that the plan drops. The other options are those of `synthesize`.
    """

    plan: Plan
    epsilon: float
    delta: float
    columns: Mapping[str, Column]
    nulls: tuple[str, ...] = ()
    entity: str | None = None
    rows_per_entity: int = 1
    method: str = "aim"
    rows: int | None = None

    @classmethod
    def from_toml(cls, source: str | Path) -> SyntheticPlan:
        """Return the plan in a TOML file, or in text that holds a line break. Refuses what `from_dict` refuses."""
        if isinstance(source, str) and "\n" in source:
            text = source
        elif Path(source).is_file():
            text = Path(source).read_text(encoding="utf-8")
        else:
            raise InvalidPlan(f"plan file `{Path(source).name}` does not exist")
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise InvalidPlan(f"the plan is not TOML: {error}") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SyntheticPlan:
        """Return the plan that these values describe.

        Refuses a plan without `[synthetic]`, or with `[anonymity]` beside it, unknown options, and a missing epsilon
        or delta.
        """
        rest = {name: value for name, value in values.items() if name != "synthetic"}
        wanted = values.get("synthetic")
        if not isinstance(wanted, Mapping):
            raise InvalidPlan("a synthetic release needs a plan with the part [synthetic]")
        if "anonymity" in rest:
            raise InvalidPlan("a plan asks for [anonymity] or for [synthetic], not for both")
        known = {each.name for each in fields(cls)} - {"plan"}
        if unknown := sorted(set(wanted) - known):
            raise InvalidPlan(f"[synthetic] has no option: {', '.join(unknown)}; it has: {', '.join(sorted(known))}")
        if missing := [name for name in ("epsilon", "delta") if not isinstance(wanted.get(name), int | float)]:
            raise InvalidPlan(f"[synthetic] needs as a number: {', '.join(missing)}")
        given = wanted.get("columns", {})
        columns = dict(Domain.from_dict(given).columns) if given else {}
        options = {name: value for name, value in wanted.items() if name not in ("columns", "nulls")}
        made = cls(Plan.from_dict(rest), columns=columns, nulls=tuple(wanted.get("nulls", ())), **options)
        made.domain()
        return made

    def domain(self) -> Domain:
        """Return the domain of the synthetic table.

        Refuses a column that neither the plan nor `columns` says the values of, and a domain for no column.
        """
        domain = Domain.from_plan(self.plan, self.columns, null=self.nulls)
        if unused := [name for name in (*self.columns, *self.nulls) if name not in domain.columns]:
            raise InvalidPlan(f"[synthetic] speaks of columns that the plan does not release: {', '.join(unused)}")
        return domain

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values; `from_dict` gives the same plan back."""
        options = ("epsilon", "delta", "entity", "rows_per_entity", "method", "rows")
        wanted: dict[str, Any] = {name: value for name in options if (value := getattr(self, name)) is not None}
        wanted |= {"nulls": list(self.nulls)} if self.nulls else {}
        wanted |= {"columns": {name: column.to_dict() for name, column in self.columns.items()}} if self.columns else {}
        return {**self.plan.to_dict(), "synthetic": wanted}

    def to_toml(self, language: str | None = None) -> str:
        """Return the plan as TOML; `from_toml` gives the same plan back. With a language, comments as `Plan` has."""
        values = self.to_dict()["synthetic"]
        columns = values.pop("columns", {})
        lines = [self.plan.to_toml(language), "[synthetic]", *write_toml(values), ""]
        for name, options in columns.items():
            lines += [f"[synthetic.columns.{json.dumps(name, ensure_ascii=False)}]", *write_toml(options), ""]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class SyntheticRelease:
    """A synthetic table with its certificate. `write` stores both whole or not at all."""

    synthesis: Synthesis
    plan: SyntheticPlan

    @property
    def frame(self) -> pl.LazyFrame:
        """Return the synthetic rows."""
        return self.synthesis.frame.lazy()

    @property
    def certificate(self) -> dict[str, Any]:
        """Return the certificate as plain values for JSON, without time and signature.

        It is laid out like every certificate of the engine; what only a look at the original without noise could
        tell is null.
        """
        return {
            "kind": "desensitization certificate",
            "version": CERTIFICATE_VERSION,
            "engine": {
                "desensitize": ENGINE_VERSION,
                "polars": pl.__version__,
                "python": platform.python_version(),
            },
            "input": None,
            "output": run_quietly(lambda: describe(self.frame)),
            "found": None,
            "done": {"plan": self.plan.to_dict(), "synthetic": self.synthesis.certificate},
            **dict.fromkeys(("measured", "measured_before", "utility", "limits", "level", "meets_limits")),
        }

    def write(self, directory: str | Path) -> Path:
        """Store the table as Parquet with its certificate in a new directory and return it.

        Nobody ever sees half of it. Refuses a directory that is already there.
        """
        text = json.dumps(self.certificate, ensure_ascii=False, indent=1, sort_keys=True)

        def finish(_: pl.LazyFrame, folder: Path) -> None:
            (folder / CERTIFICATE_FILE).write_text(text + "\n", encoding="utf-8")

        return store(self.frame, Path(directory), finish)


def release_synthetic(
    table: Table,
    plan: SyntheticPlan,
    key: bytes | None = None,
    *,
    accountant: Debits | None = None,
    seed: int | None = None,
) -> SyntheticRelease:
    """Return the synthetic release of a table by a plan. Its budget is spent at once, and by every call anew.

    `accountant` is debited before the table is looked at. Refuses an entity column that is not in the table or that
    the plan releases, and what `apply` and `synthesize` refuse.
    """
    source = open_table(table)
    secret = None if key is None else SecretKey(key)
    schema = source.collect_schema()
    expressions = build_expressions(plan.plan, schema, secret)
    entity = plan.entity
    if entity is not None and entity not in schema:
        raise InvalidInput(f"entity column `{entity}` is not in the table; it has: {', '.join(schema.names())}")
    if entity is not None and plan.plan.columns[entity].technique != "drop":
        raise InvalidPlan(f"entity column `{entity}` must be dropped by the plan: a synthetic row is nobody's")
    hidden = [] if entity is None else [pl.col(entity).alias(hide(entity))]
    made = synthesize(
        source.select(*expressions, *hidden),
        plan.domain(),
        epsilon=plan.epsilon,
        delta=plan.delta,
        entity=None if entity is None else hide(entity),
        rows_per_entity=plan.rows_per_entity,
        method=plan.method,
        rows=plan.rows,
        accountant=accountant,
        seed=seed,
    )
    return SyntheticRelease(made, plan)
