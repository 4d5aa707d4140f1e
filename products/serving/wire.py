"""What goes over the wire: the requests and answers by their exact fields, and problems as RFC 9457 says.

These types are the contract: they decode the calls, and the OpenAPI document is made from them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec

from shuzha.core.errors import ShuzhaError
from shuzha.core.ids import new_id

JSON = (b"content-type", b"application/json")
PROBLEM = (b"content-type", b"application/problem+json")
BODY_CAP = 64 * 1024
MAX_BATCH = 100

Headers = list[tuple[bytes, bytes]]
SubjectText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Reference = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=200,
        description="Reference to the person's consent, needed where subjects are persons; kept as a hash",
    ),
]
Result = Literal["match", "no_match"]


class VerifyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question about one subject: its fields as the product sheet names them, the claim, for which purpose."""

    subject: dict[Name, SubjectText]
    claim: Name
    purpose: Name
    consent: Reference = ""


class VerifyAnswer(msgspec.Struct, frozen=True):
    """The answer: `no_match` says the claim is not confirmed, be the subject unknown or the claim untrue of it."""

    result: Result
    usage_id: str


class BatchItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question of a batch."""

    subject: dict[Name, SubjectText]
    claim: Name
    consent: Reference = ""


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 100 questions for one purpose; all are refused together or answered and metered one by one."""

    purpose: Name
    items: Annotated[list[BatchItem], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class BatchAnswer(msgspec.Struct, frozen=True):
    """The answers, in the order of the questions; `log_indexes` are their places in the usage log."""

    answers: list[VerifyAnswer]
    log_indexes: list[int]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error: `code` is stable, `detail` is for people, `rule` names what refused, `trace` this one answer."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    trace: str
    rule: str = ""
    accepted: str = ""


class Answer:
    """A status, header fields and a body, ready to be sent."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Refusal(Exception):
    """A call that is refused: raised where it is found, answered as a problem, never charged."""

    def __init__(
        self, status: int, code: str, detail: str, *, rule: str = "", accepted: str = "", headers: Headers | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.rule = rule
        self.accepted = accepted
        self.headers = headers or []

    def answer(self) -> Answer:
        """Return the refusal as a problem+json answer."""
        body = Problem(
            f"/problems/{self.code}", HTTPStatus(self.status).phrase, self.status, self.detail, self.code,
            new_id("trc"), self.rule, self.accepted,
        )  # fmt: skip
        headers = [PROBLEM, *self.headers]
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers.append((b"www-authenticate", b"Bearer"))
        return Answer(self.status, headers, msgspec.json.encode(body))


def refusal_of(error: ShuzhaError, status: int) -> Refusal:
    """Return an error of the house as a refusal with this status."""
    return Refusal(status, error.code, error.message, rule=error.rule or "", accepted=error.accepted or "")


def schema_of(*types: Any) -> dict[str, Any]:
    """Return the JSON schemas of wire types by name, for the OpenAPI document."""
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return dict(components)
