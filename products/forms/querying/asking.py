"""A question of a data service: its parameters, held against their closed domains."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from products.forms.line import Refused
from sandbox.airlock.specification import Parameter, ServiceSpecification, parse
from shuzha.core.conditions import Scalar
from shuzha.core.errors import Invalid

_SHOWN = 20


def read_service(text: str) -> ServiceSpecification:
    """Return the specification of a data service; refuses another kind."""
    found = parse(text.encode())
    if not isinstance(found, ServiceSpecification):
        raise Invalid("a data service refuses a specification of another kind", rule="product.specification")
    return found


def read_parameters(service: ServiceSpecification, sent: Mapping[str, str]) -> dict[str, Scalar]:
    """Return what was chosen, by parameter; refuses an unknown, missing or unlisted one, naming it (422)."""
    names = [one.name for one in service.parameters]
    if not sent.keys() <= set(names):
        raise Refused(
            422, "parameter_unknown", "the service has no such parameter", "product.parameters", ", ".join(names)
        )
    chosen: dict[str, Scalar] = {}
    for one in service.parameters:
        text = sent.get(one.name)
        if text is not None:
            chosen[one.name] = _read(one, text)
        elif not one.optional:
            raise Refused(
                422, "parameter_missing", f"parameter `{one.name}` is missing", "product.parameters", accepted_of(one)
            )
    return chosen


def accepted_of(one: Parameter) -> str:
    """Return what may be sent for a parameter, in words."""
    shown = ", ".join(written(value) for value in one.domain[:_SHOWN]) + (", …" if len(one.domain) > _SHOWN else "")
    return f"one of {shown}{', or nothing' if one.optional else ''}"


def written(value: Scalar) -> str:
    """Return a value of a domain as it is sent: true and false, numbers as JSON writes them, text as it is."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def question_of(product: str, specification: str, chosen: Mapping[str, Scalar]) -> str:
    """Return the name of a question: the same for the same choice, whoever asks and in whatever order."""
    told = msgspec.json.encode([product, specification, chosen], order="deterministic")
    return hashlib.sha256(told).hexdigest()


def _read(one: Parameter, text: str) -> Scalar:
    for value in one.domain:
        if written(value) == text:
            return value
    raise Refused(
        422,
        "parameter_invalid",
        f"parameter `{one.name}` is outside its domain",
        "product.parameters",
        accepted_of(one),
    )
