"""Between a form's text and the values that services take: lists, row conditions, terms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from shuzha.catalog.model import Element, ElementType
from shuzha.core.conditions import RULE, Condition, Op, read_conditions
from shuzha.core.errors import Invalid

_NO_VALUE = frozenset({Op.IS_NULL, Op.NOT_NULL})


def read_lines(text: str, field: str = "") -> tuple[str, ...]:
    """Return a field's items, one a line or separated by commas; refuses an empty field, which `field` names."""
    found = tuple(part.strip() for part in text.replace(",", "\n").splitlines() if part.strip())
    if not found:
        raise Invalid("the form leaves a list empty", rule="form.list", accepted="one item a line", field=field)
    return found


def years_on(day: dt.date, years: int) -> dt.date:
    """Return the last day of a term of so many years that starts on `day`."""
    try:
        return day.replace(year=day.year + years) - dt.timedelta(days=1)
    except ValueError:  # 29 February
        return dt.date(day.year + years, 2, 28)


def read_rows(text: str, elements: Iterable[Element]) -> tuple[Condition, ...]:
    """Return the row conditions of a field: `column operator value` a line, `in` with commas; an empty field is none.

    Values take the type of their column; the grammar itself is that of `shuzha.core.conditions`.
    """
    types = {element.name: element.type for element in elements}
    return read_conditions(_read_row(line.strip(), types) for line in text.splitlines() if line.strip())


def _read_row(line: str, types: dict[str, ElementType]) -> dict[str, object]:
    column, _, rest = line.partition(" ")
    op, _, text = rest.strip().partition(" ")
    kind = types.get(column)
    if kind is None or not op or bool(text.strip()) == (op in _NO_VALUE):
        raise Invalid(
            "a line of the row conditions cannot be read", rule=RULE,
            accepted="column operator value, such as: district_code in 370102, 370103", field="rows",
        )  # fmt: skip
    if op in _NO_VALUE:
        return {"column": column, "op": op}
    if op == Op.IN:
        members = [_value(part.strip(), kind) for part in text.split(",") if part.strip()]
        return {"column": column, "op": op, "value": members}
    return {"column": column, "op": op, "value": _value(text.strip(), kind)}


def _value(text: str, kind: ElementType) -> str | int | float | bool:
    try:
        if kind is ElementType.INTEGER:
            return int(text)
        if kind is ElementType.NUMBER:
            return float(text)
        if kind is ElementType.BOOLEAN:
            return {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        raise Invalid(
            "a value of the row conditions does not fit its column", rule=RULE, accepted=kind.value, field="rows"
        ) from None
    return text


def write_rows(conditions: Iterable[Condition]) -> str:
    """Return row conditions as the form shows them, one a line."""
    return "\n".join(_write(each) for each in conditions)


def _write(condition: Condition) -> str:
    value = condition.value
    if condition.op in _NO_VALUE:
        return f"{condition.column} {condition.op}"
    parts = value if isinstance(value, tuple) else (value,)
    return f"{condition.column} {condition.op} " + ", ".join(
        str(part).lower() if isinstance(part, bool) else str(part) for part in parts
    )
