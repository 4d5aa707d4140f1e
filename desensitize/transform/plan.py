"""A plan: what happens to each column, in a small TOML that a data officer can read.

Words: a *plan* names every column of the table once; its part `[anonymity]`, if it has one, names the
quasi-identifiers, how each may be generalized, whose data a row is, and the class size k to reach. A plan never
holds a key.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from desensitize.errors import InvalidPlan
from desensitize.hierarchy import DATE_LEVELS, Hierarchy
from desensitize.transform.goals import METRICS, LDiversity, TCloseness, parse_goal
from desensitize.transform.lookups import fill_in_rows
from desensitize.transform.sentences import say
from desensitize.transform.techniques import NAMES, Technique, describe, parse_technique

HIERARCHY_KINDS: tuple[str, ...] = ("region", "date", "number", "flat", "table")
Goals: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]


_OPTIONAL = {"metric": "loss", "l_diversity": None, "t_closeness": None, "local": False}


@dataclass(frozen=True, slots=True)
class Anonymity:
    """The anonymity a plan asks for.

    Hierarchies by column (as written in the plan), entity column, k, limit and release mode; the metric, l-diversity
    and t-closeness (a table of options as in `LDiversity` and `TCloseness`, or several), and whether every class gets
    labels of its own (`local`).
    """

    quasi_identifiers: Mapping[str, Mapping[str, Any]]
    k: int = 5
    entity: str | None = None
    suppression_limit: float = 0.02
    mode: str = "enclave"
    metric: str = "loss"
    l_diversity: Goals | None = None
    t_closeness: Goals | None = None
    local: bool = False

    def goals(self) -> tuple[LDiversity | TCloseness, ...]:
        """Return the privacy models beside k-anonymity. Refuses unknown and missing options."""
        diverse = [parse_goal(LDiversity, one) for one in _list(self.l_diversity)]
        return (*diverse, *(_closeness(one) for one in _list(self.t_closeness)))

    def hierarchies(self) -> dict[str, Hierarchy]:
        """Return the hierarchy of every quasi-identifier. Refuses an unknown kind, and options a kind does not have."""
        return {column: _hierarchy(column, dict(spec)) for column, spec in self.quasi_identifiers.items()}


@dataclass(frozen=True, slots=True)
class Plan:
    """Techniques by column, a title, and optionally the anonymity to reach."""

    columns: Mapping[str, Technique]
    title: str = ""
    anonymity: Anonymity | None = field(default=None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], folder: Path | None = None) -> Plan:
        """Return the plan that these values describe; `folder` holds the CSV files that it names.

        Refuses unknown parts, techniques and options, naming the column.
        """
        if "synthetic" in values:
            raise InvalidPlan("a plan with the part synthetic is for a synthetic release: `shuzha synthesize`")
        unknown = set(values) - {"title", "columns", "anonymity"}
        if unknown:
            raise InvalidPlan(f"a plan has the parts title, columns and anonymity, not: {', '.join(sorted(unknown))}")
        columns = values.get("columns")
        if not isinstance(columns, Mapping) or not columns:
            raise InvalidPlan("a plan needs a part [columns] with at least one column")
        parsed = {}
        for name, spec in columns.items():
            try:
                parsed[name] = _parse_column(spec, folder)
            except InvalidPlan as error:
                raise InvalidPlan(f"column `{name}`: {error}") from error
        return cls(MappingProxyType(parsed), str(values.get("title", "")), _anonymity(values.get("anonymity")))

    @classmethod
    def from_toml(cls, source: str | Path) -> Plan:
        """Return the plan in a TOML file, or in text that holds a line break.

        Refuses a missing file and broken TOML.
        """
        inline = isinstance(source, str) and "\n" in source
        text = str(source) if inline else _read(Path(source))
        try:
            return cls.from_dict(tomllib.loads(text), None if inline else Path(source).parent)
        except tomllib.TOMLDecodeError as error:
            raise InvalidPlan(f"the plan is not TOML: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values; `from_dict` gives the same plan back."""
        values: dict[str, Any] = {"title": self.title} if self.title else {}
        values["columns"] = {name: describe(technique) for name, technique in self.columns.items()}
        if self.anonymity is not None:
            wanted = self.anonymity
            values["anonymity"] = {
                "k": wanted.k,
                **({"entity": wanted.entity} if wanted.entity else {}),
                "suppression_limit": wanted.suppression_limit,
                "mode": wanted.mode,
                **{name: value for name in _OPTIONAL if (value := getattr(wanted, name)) != _OPTIONAL[name]},
                "quasi_identifiers": {column: dict(spec) for column, spec in wanted.quasi_identifiers.items()},
            }
        return values

    def to_toml(self, language: str | None = None, remarks: Mapping[str, str] | None = None) -> str:
        """Return the plan as TOML; `from_toml` gives the same plan back.

        With a language (`en` or `zh`) a comment over each column says what happens to it. `remarks` are further
        comments by column, one line each.
        """
        values = self.to_dict()
        notes = {} if language is None else self.describe(language)
        lines = [f"title = {_toml(self.title)}", ""] if self.title else []
        for name, options in values["columns"].items():
            lines += [f"# {_one_line(said[name])}" for said in (notes, remarks or {}) if name in said]
            lines += [f"[columns.{_toml(name)}]", *(f"{key} = {_toml(value)}" for key, value in options.items()), ""]
        if self.anonymity is not None:
            wanted = values["anonymity"]
            identifiers = wanted.pop("quasi_identifiers")
            lines += ["[anonymity]", *(f"{key} = {_toml(value)}" for key, value in wanted.items()), ""]
            for name, options in identifiers.items():
                lines.append(f"[anonymity.quasi_identifiers.{_toml(name)}]")
                lines += [*(f"{key} = {_toml(value)}" for key, value in options.items()), ""]
        return "\n".join(lines)

    def describe(self, language: str = "en") -> dict[str, str]:
        """Return what happens to each column, in one sentence in `en` or `zh`; refuses other languages."""
        return {name: say(technique, language) for name, technique in self.columns.items()}

    def with_column(self, name: str, technique: Technique) -> Plan:
        """Return a copy in which column `name` has this technique."""
        return replace(self, columns=MappingProxyType({**self.columns, name: technique}))

    def check_columns(self, names: Iterable[str]) -> None:
        """Refuse a table whose columns are not exactly the plan's, naming every one that is missing on either side."""
        present = list(names)
        unplanned = [name for name in present if name not in self.columns]
        absent = [name for name in self.columns if name not in present]
        if unplanned:
            raise InvalidPlan(
                f"the plan says nothing about: {', '.join(unplanned)}; give each a technique (keep, drop, …)"
            )
        if absent:
            raise InvalidPlan(f"the plan names columns that the table does not have: {', '.join(absent)}")


def _parse_column(spec: object, folder: Path | None) -> Technique:
    if isinstance(spec, str):
        return parse_technique({"technique": spec})
    if not isinstance(spec, Mapping):
        raise InvalidPlan(f"give a technique: one of {', '.join(NAMES)}, or a table with `technique` and its options")
    return parse_technique(fill_in_rows(spec, folder))


def _read(path: Path) -> str:
    if not path.is_file():
        raise InvalidPlan(f"plan file `{path.name}` does not exist")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidPlan(f"plan file `{path.name}` is not UTF-8 text") from error


def _anonymity(values: object) -> Anonymity | None:
    if values is None:
        return None
    if not isinstance(values, Mapping) or not isinstance(values.get("quasi_identifiers"), Mapping):
        raise InvalidPlan("[anonymity] needs the part quasi_identifiers")
    known = [one.name for one in fields(Anonymity)]
    if unknown := sorted(set(values) - set(known)):
        raise InvalidPlan(f"[anonymity] has no option: {', '.join(unknown)}; it has: {', '.join(known)}")
    made = Anonymity(**values)
    _check_anonymity(made)
    made.hierarchies()
    made.goals()
    return made


def _check_anonymity(made: Anonymity) -> None:
    if isinstance(made.k, bool) or not isinstance(made.k, int) or made.k < 1:
        raise InvalidPlan("[anonymity] k is a whole number of at least 1")
    if not isinstance(made.suppression_limit, int | float) or not 0 <= made.suppression_limit <= 1:
        raise InvalidPlan("[anonymity] suppression_limit is a share between 0 and 1")
    if made.metric not in METRICS:
        raise InvalidPlan(f"[anonymity] metric must be one of: {', '.join(METRICS)}")
    if not isinstance(made.local, bool):
        raise InvalidPlan("[anonymity] local is true or false")


def _closeness(values: Mapping[str, Any]) -> TCloseness:
    """Return the t-closeness of a plan, its hierarchy written like a quasi-identifier's."""
    if not isinstance(values, Mapping) or not isinstance(values.get("hierarchy"), Mapping):
        return parse_goal(TCloseness, values)
    made = _hierarchy(f"t_closeness of {values.get('column')}", dict(values["hierarchy"]))
    return parse_goal(TCloseness, {**values, "hierarchy": made})


def _list(goals: Any) -> list[Any]:
    if goals is None:
        return []
    return list(goals) if isinstance(goals, list | tuple) else [goals]


def _hierarchy(column: str, spec: dict[str, Any]) -> Hierarchy:
    kind = spec.pop("kind", "flat")
    allowed = {"date": {"levels"}, "number": {"widths", "origin"}, "table": {"rows"}}.get(kind, set())
    if kind not in HIERARCHY_KINDS:
        raise InvalidPlan(f"quasi-identifier `{column}`: kind must be one of: {', '.join(HIERARCHY_KINDS)}")
    if set(spec) - allowed:
        raise InvalidPlan(
            f"quasi-identifier `{column}`: kind {kind} takes only: {', '.join(sorted(allowed)) or 'no option'}"
        )
    if kind == "region":
        return Hierarchy.regions()
    if kind == "date":
        return Hierarchy.dates(spec.get("levels", DATE_LEVELS))
    if kind == "number":
        return Hierarchy.numbers(**spec)
    return Hierarchy.from_rows(spec.get("rows", ())) if kind == "table" else Hierarchy.flat()


def _one_line(text: str) -> str:
    """Return the text as a comment may hold it: names of columns in it may hold line breaks and control characters."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def write_toml(options: Mapping[str, object]) -> list[str]:
    """Return plain options as lines of TOML, one each."""
    return [f"{key} = {_toml(value)}" for key, value in options.items()]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
