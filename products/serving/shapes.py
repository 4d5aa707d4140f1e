"""The answers that are lists and sheets, as the OpenAPI document shows them; more fields may come, none of these go."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import msgspec

_Hao = Annotated[int, msgspec.Meta(description="毫: 1/10,000 yuan")]
_Period = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}$")]


class Titles(msgspec.Struct, frozen=True):
    """A title in Chinese and in English."""

    zh: str
    en: str


class ProductSheet(msgspec.Struct, frozen=True):
    """What a product answers, from which entry, at what price; `state` says whether it can be called now."""

    code: str
    kind: str
    state: str
    title: Titles
    answers: str
    price_yuan: str
    price_hao: _Hao
    purposes: list[str]


class ProductList(msgspec.Struct, frozen=True):
    """The products on the price list, by code."""

    products: list[ProductSheet]


class UsageItem(msgspec.Struct, frozen=True):
    """One metered use, with its place in the usage log."""

    log_index: int
    usage_id: str
    kind: str
    key_id: str
    consumer: str
    product: str
    purpose: str
    price: _Hao
    waived: bool
    quantity: int
    occurred_at: dt.datetime
    day: dt.date


class UsagePage(msgspec.Struct, frozen=True):
    """The uses of a month, newest first, and the sums of the whole month."""

    period: _Period
    uses: int
    quantity: int
    charged_hao: _Hao
    waived_hao: _Hao
    items: list[UsageItem]


class Health(msgspec.Struct, frozen=True):
    """That the process lives, or could answer a call."""

    status: str


class ProblemKind(msgspec.Struct, frozen=True):
    """One kind of problem: its type, stable code and status."""

    type: str
    code: str
    status: int


class ProblemKinds(msgspec.Struct, frozen=True):
    """Every kind of problem that this API answers with."""

    problems: list[ProblemKind]


class KeyDirectory(msgspec.Struct, frozen=True):
    """The public keys that answers are signed by: a JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, Any]]


ANSWERS: dict[str, Any] = {
    "GET /v1/products": ProductList,
    "GET /v1/products/{code}": ProductSheet,
    "GET /v1/usage": UsagePage,
    "GET /healthz": Health,
    "GET /readyz": Health,
    "GET /problems": ProblemKinds,
    "GET /problems/{code}": ProblemKind,
    "GET /.well-known/http-message-signatures-directory": KeyDirectory,
}
"""The shape of the answer of each operation that is not a wire type."""

TEXTS = ("text/plain",)
MEDIA: dict[str, tuple[str, ...]] = {
    "GET /v1/ledger/checkpoint": TEXTS,
    "GET /metrics": TEXTS,
    "GET /v1/ledger/key": TEXTS,
    "GET /v1/ledger/cosigned": TEXTS,
    "GET /v1/ledger/tile/{path}": ("application/octet-stream",),
    "GET /.well-known/http-message-signatures-directory": ("application/http-message-signatures-directory+json",),
    "GET /problems": ("application/json", "text/html"),
    "GET /problems/{code}": ("application/json", "text/html"),
}  # fmt: skip
"""The media types of the operations whose answers are not JSON alone."""
