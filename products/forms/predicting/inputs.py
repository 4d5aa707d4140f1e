"""What a consumer sends for a model, held against its terms; and what it is told, rounded by them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from products.forms.line import Refused
from products.forms.predicting.inside.worker import Cell
from products.forms.terms import Input, ModelTerms


def read_inputs(terms: ModelTerms, sent: Mapping[str, object]) -> tuple[Cell, ...]:
    """Return an input in the order of the terms; refuses an unknown, missing or unfitting field, naming it (422)."""
    known = {one.name for one in terms.inputs}
    if not sent.keys() <= known:
        raise Refused(422, "input_unknown", "an input has a field that the model does not read", "product.inputs",
                      ", ".join(one.name for one in terms.inputs))  # fmt: skip
    return tuple(_read(one, sent.get(one.name)) for one in terms.inputs)


def _read(one: Input, value: object) -> Cell:
    if value is None:
        if one.optional:
            return None
        raise Refused(422, "input_missing", f"input `{one.name}` is missing", "product.inputs", accepted_of(one))
    match one.type:
        case "flag" if isinstance(value, bool):
            return 1.0 if value else 0.0
        case "category" if isinstance(value, str) and value in one.categories:
            return value
        case "number" if isinstance(value, int | float) and not isinstance(value, bool) and _lies_in(one, value):
            return float(value)
    raise Refused(422, "input_invalid", f"input `{one.name}` is not what it may be", "product.inputs", accepted_of(one))


def _lies_in(one: Input, value: float) -> bool:
    if not math.isfinite(value) or (one.whole and value != int(value)):
        return False
    return (one.minimum is None or value >= one.minimum) and (one.maximum is None or value <= one.maximum)


def accepted_of(one: Input) -> str:
    """Return what may be sent for an input, in words."""
    missing = ", or nothing" if one.optional else ""
    if one.type == "flag":
        return f"true or false{missing}"
    if one.type == "category":
        shown = ", ".join(one.categories[:20]) + (", …" if len(one.categories) > 20 else "")
        return f"one of {shown}{missing}"
    return f"a {'whole ' if one.whole else ''}number from {one.minimum:g} to {one.maximum:g}{missing}"


def say_output(terms: ModelTerms, classes: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    """Return what a consumer is told of one row's scores: a rounded value, or the likeliest class and its bucket."""
    if not classes:
        value = round(scores[0], terms.decimals) + 0.0
        return {"value": int(value) if terms.decimals <= 0 else value}
    best = max(range(len(classes)), key=lambda place: (scores[place], -place))
    said: dict[str, Any] = {"class": classes[best]}
    if terms.buckets:
        edges = [0.0, *terms.buckets, 1.0]
        place = sum(scores[best] >= edge for edge in terms.buckets)
        said["chance"] = f"{edges[place]:g}-{edges[place + 1]:g}"
    return said


def schema_of_inputs(terms: ModelTerms) -> dict[str, Any]:
    """Return the JSON Schema of one input, as the product's sheet shows it."""
    fields: dict[str, Any] = {}
    for one in terms.inputs:
        kinds: dict[str, dict[str, Any]] = {
            "number": {"type": "integer" if one.whole else "number", "minimum": one.minimum, "maximum": one.maximum},
            "category": {"type": "string", "enum": list(one.categories)}, "flag": {"type": "boolean"},
        }  # fmt: skip
        fields[one.name] = kinds[one.type] | ({"title": one.title} if one.title else {})
    required = [one.name for one in terms.inputs if not one.optional]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
