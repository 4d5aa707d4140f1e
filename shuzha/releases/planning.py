"""From the roles of an entry's elements to the plan of a release: deterministic, shown, and without any key.

Direct identifiers become pseudonyms (phones and e-mail are masked, names left out where a scan knew them); free text is
redacted; quasi-identifiers stay and are generalized level by level until the measured risk meets the limits. The kind
of a quasi-identifier's hierarchy follows from its type and, for text, from the form that all its values have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from desensitize.transform.plan import Anonymity, Plan
from desensitize.transform.techniques import Drop, Keep, Mask, Pseudonymize, Redact, Technique
from shuzha.catalog.model import Element, ElementType, Entry, Role
from shuzha.core.errors import Invalid
from shuzha.releases.model import RiskPolicy

_NUMBERS = frozenset({ElementType.INTEGER, ElementType.DECIMAL, ElementType.NUMBER})
_DAYS = frozenset({ElementType.DATE, ElementType.DATETIME})
_BY_TYPE: Mapping[str, Technique] = {
    "PERSON": Drop(),
    "CN_ADDRESS": Drop(),
    "CN_MOBILE": Mask(keep_first=3),
    "CN_LANDLINE": Mask(),
    "EMAIL_ADDRESS": Mask(),
}
_REGION = r"^([0-9]{6}|[0-9]{12}|[0-9]{17}[0-9Xx])$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_STEPS = 50
_PURE, _EDGE = 0.9, 0.01


def make_plan(entry: Entry, columns: Iterable[str], policy: RiskPolicy, frame: pl.LazyFrame) -> Plan:
    """Return the plan that releases these columns; `frame` is the raw table cut to them and to the entity key.

    Refuses columns that the entry no longer has.
    """
    granted = frozenset(columns)
    techniques: dict[str, Technique] = {}
    quasi: dict[str, Mapping[str, Any]] = {}
    for name in frame.collect_schema().names():
        element = entry.find_element(name)
        if element is None:
            raise Invalid(f"entry {entry.code} has no element `{name}` any more", rule="release.columns")
        techniques[name] = _technique(entry, element, policy) if name in granted else Drop()
        if element.role is Role.QUASI and isinstance(techniques[name], Keep):
            quasi[name] = _hierarchy(element, frame)
    anonymity = None
    if quasi:
        anonymity = Anonymity(quasi, policy.k, entry.entity_key, policy.suppression_limit, policy.mode)
    return Plan(techniques, title=f"{entry.code} {entry.name}", anonymity=anonymity)


def found_in(entry: Entry, columns: Iterable[str]) -> dict[str, Any]:
    """Return what the scan of a sample found in these columns, and the roles in force, for the certificate."""
    return {"columns": [_found(entry, element) for name in columns if (element := entry.find_element(name))]}


def _found(entry: Entry, element: Element) -> dict[str, Any]:
    finding = entry.scan.find(element.name) if entry.scan else None
    return {
        "name": element.name, "role": element.role.value, "grade": element.grade,
        "types": list(finding.types) if finding else [], "hit_rate": finding.hit_rate if finding else None,
    }  # fmt: skip


def _technique(entry: Entry, element: Element, policy: RiskPolicy) -> Technique:
    if element.role is Role.FREE_TEXT:
        return Redact(caution="strict") if policy.free_text == "redact" else Drop()
    if element.role is not Role.DIRECT and element.name != entry.entity_key:
        return Keep()
    finding = entry.scan.find(element.name) if entry.scan else None
    if finding and finding.types and element.name != entry.entity_key and finding.types[0] in _BY_TYPE:
        if isinstance(_BY_TYPE[finding.types[0]], Mask) and (len(finding.types) > 1 or finding.hit_rate < _PURE):
            # The first characters of what else is in the column may be a name, or a region.
            return Mask()
        return _BY_TYPE[finding.types[0]]
    if element.type in (ElementType.NUMBER, ElementType.DECIMAL, ElementType.BOOLEAN):
        return Drop()
    # One person is one pseudonym, however he is written: entries join, and the airlock counts people.
    return Pseudonymize(normalize=True)


def _hierarchy(element: Element, frame: pl.LazyFrame) -> dict[str, Any]:
    column = pl.col(element.name)
    if element.type in _DAYS:
        return {"kind": "date"}
    if element.type in _NUMBERS:
        # Not from the very ends: the widths are shown, and the largest of all figures is somebody's.
        number = column.cast(pl.Float64)
        ends = [number.quantile(share, "nearest").alias(name) for name, share in (("low", _EDGE), ("high", 1 - _EDGE))]
        low, high = frame.select(ends).collect().row(0)
        return {"kind": "number", "widths": _widths(low, high)}
    if element.type is ElementType.BOOLEAN:
        return {"kind": "flat"}
    text = frame.filter(column.is_not_null()).select(column.cast(pl.String).alias("text"))
    forms = text.select(
        pl.len().alias("rows"), _share(_REGION).alias("region"), _share(_DATE).alias("date"),
        pl.col("text").str.len_chars().n_unique().alias("lengths"),
    )  # fmt: skip
    rows, region, date, lengths = forms.collect(engine="streaming").row(0)
    if rows and region == rows and lengths == 1:
        return {"kind": "region"}
    return {"kind": "date"} if rows and date == rows else {"kind": "flat"}


def _share(pattern: str) -> pl.Expr:
    return pl.col("text").str.contains(pattern).sum()


def _widths(low: float | None, high: float | None) -> list[float]:
    """Return band widths 1, 5, 10, 50 … times a power of ten, so that the finest bands part the range in 50 or so."""
    width, reach = 5.0, float(high or 0) - float(low or 0)
    while reach / width > _STEPS:
        width *= 10
    return [int(width * factor) for factor in (1, 2, 4, 20)]
