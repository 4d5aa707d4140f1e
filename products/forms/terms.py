"""The terms of a form: what an operating unit says of how a product is served, as closed JSON by kind.

Terms are set before a product's registration is applied for and stay as they are: what was reviewed is what is served.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec

from shuzha.core.errors import Invalid

RULE: Final = "forms.terms"
MAX_BYTES: Final = 64 * 1024

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far a column's values may differ from the original: one `step` up or down, within `least` and `most`."""

    step: Annotated[float, msgspec.Meta(gt=0)]
    least: float | None = None
    most: float | None = None


class FileTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="form", tag="file"):
    """A component or report: the columns whose least digits carry the buyer's mark, by name."""

    marks: Annotated[dict[Name, Mark], msgspec.Meta(min_length=1, max_length=50)]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input of a model: a column of its declaration, what may be sent for it, and whether it may be missing.

    A `number` lies from `minimum` to `maximum`, and is a whole one where `whole`; a `category` is one of `categories`;
    a `flag` is true or false.
    """

    name: Name
    type: Literal["number", "category", "flag"]
    minimum: float | None = None
    maximum: float | None = None
    whole: bool = False
    categories: Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=1_000)] = []
    optional: bool = False
    title: Annotated[str, msgspec.Meta(max_length=200)] = ""


class ModelTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="form", tag="model"):
    """A model: its inputs, how its answer is rounded, and how much of it one consumer may learn.

    A regression's value has `decimals`. A classification says the likeliest class, and, only where `buckets` has edges
    between 0 and 1, between which of them its chance lies. In each window of `window_days` days an organisation sends
    `distinct_inputs` different inputs at most, of which `near_inputs` may lie beside another it sent (`probing`).
    """

    inputs: Annotated[list[Input], msgspec.Meta(min_length=1, max_length=500)]
    decimals: Annotated[int, msgspec.Meta(ge=-9, le=6)] = 2
    buckets: Annotated[list[Annotated[float, msgspec.Meta(gt=0, lt=1)]], msgspec.Meta(max_length=9)] = []
    distinct_inputs: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 5_000
    near_inputs: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 250
    window_days: Annotated[int, msgspec.Meta(ge=1, le=31)] = 1


Terms = FileTerms | ModelTerms
_DECODER: msgspec.json.Decoder[Terms] = msgspec.json.Decoder(FileTerms | ModelTerms)


def parse_terms(data: bytes | str) -> Terms:
    """Return the terms that this JSON says; raises Invalid with the place of what is not of the grammar."""
    if len(data) > MAX_BYTES:
        raise Invalid("the terms are too long", rule=RULE, accepted=f"at most {MAX_BYTES} bytes of JSON")
    try:
        return _DECODER.decode(data)
    except msgspec.ValidationError as error:
        place = re.search(r" - at `([^`]*)`", str(error))
        where = place[1] if place else "$"
        raise Invalid(
            f"the terms do not fit their form at {where}", rule=RULE, accepted="the fields of docs/reference/forms.md"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("the terms are not JSON", rule=RULE, accepted="an object with `form`") from None


def encode_terms(terms: Terms) -> str:
    """Return the one way to write terms: what is kept and shown."""
    return msgspec.json.format(msgspec.json.encode(terms, order="deterministic"), indent=0).decode()
