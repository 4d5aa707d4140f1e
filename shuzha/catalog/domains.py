"""The value domain of an element, as the engine of synthetic tables reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from desensitize.dp.synthetic_domain import Column, Domain
from desensitize.errors import DesensitizeError
from shuzha.catalog.model import Element, ElementType
from shuzha.catalog.value_domain import ValueDomain
from shuzha.core.errors import Invalid

RULE = "element.domain"
_LISTED: Mapping[ElementType, type] = {
    ElementType.TEXT: str, ElementType.INTEGER: int, ElementType.BOOLEAN: bool,
}  # fmt: skip
_DAYS = frozenset({ElementType.DATE, ElementType.DATETIME})
_NUMBERS = frozenset({ElementType.INTEGER, ElementType.DECIMAL, ElementType.NUMBER})


def read_domain(element: Element, domain: ValueDomain) -> Column:
    """Return the cells of a column; missing values are one of them, so that no row is ever refused.

    Refuses a domain that says nothing or two things, values or edges that are not of the element's type, and more than
    2,000 cells.
    """
    if bool(domain.values) + bool(domain.edges) + bool(domain.regions) != 1:
        raise _refuse(element, "its domain says nothing, or two things", accepted_of(element))
    if not _fits(element, domain):
        raise _refuse(element, f"its domain does not fit its type, {element.type.value}", accepted_of(element))
    try:
        return Domain.from_dict({element.name: _as_plan(element, domain)}).columns[element.name]
    except DesensitizeError as error:
        raise _refuse(element, str(error), accepted_of(element)) from None


def find_domain(element: Element, given: ValueDomain | None = None) -> Column | None:
    """Return the cells of a column: by what was given, by the sheet, or by the type where it has two values only."""
    domain = given or element.domain
    if domain is None and element.type is ElementType.BOOLEAN:
        domain = ValueDomain(values=(True, False))
    return None if domain is None else read_domain(element, domain)


def accepted_of(element: Element) -> str:
    """Return which domains an element of this type can have, in the words of a form."""
    if element.type in _DAYS:
        return 'edges of days that rise, such as edges = ["2024-01-01", "2025-01-01", "2026-01-01"]'
    if element.type is ElementType.INTEGER:
        return "edges that rise, such as edges = [0, 10, 100], or values = [1, 2, 3]"
    if element.type in _NUMBERS:
        return "edges that rise, such as edges = [0, 10, 100]"
    if element.type is ElementType.BOOLEAN:
        return "values = [true, false]"
    return 'values such as values = ["a", "b"], or regions = "330100"'


def _fits(element: Element, domain: ValueDomain) -> bool:
    if domain.values:
        wanted = _LISTED.get(element.type)
        return all(type(value) is wanted for value in domain.values)
    if domain.regions:
        return element.type is ElementType.TEXT
    days = [isinstance(edge, str) for edge in domain.edges]
    if element.type is ElementType.TEXT:
        return all(days) or not any(days)
    return all(days) if element.type in _DAYS else element.type in _NUMBERS and not any(days)


def _as_plan(element: Element, domain: ValueDomain) -> dict[str, Any]:
    if domain.values:
        return {"values": list(domain.values), "null": True}
    if domain.regions:
        return {"regions": domain.regions, "level": domain.level, "null": True}
    step = domain.step
    if step is None and element.type is ElementType.INTEGER:
        step = 1.0
    if step is None and element.type is ElementType.DECIMAL:
        step = 10.0**-element.scale
    return {"edges": list(domain.edges), "null": True} | ({} if step is None else {"step": step})


def _refuse(element: Element, why: str, accepted: str) -> Invalid:
    return Invalid(f"element `{element.name}`: {why}", rule=RULE, accepted=accepted)
