"""What others did of late to a person's export requests: what came back, left, was recalled, held or remarked on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.airlock.model import ExportRequest
from shuzha.core.actor import Actor

DAYS: Final = 14
MOST: Final = 8
TOLD: Final = {
    "return": "returned", "reject": "rejected", "release": "released", "recall": "recalled", "hold": "held",
    "resume": "resumed", "withdraw": "withdrawn",
}  # fmt: skip
COMMENT: Final = "remarked on"


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that somebody else did to a request in which a person has a part."""

    at: dt.datetime
    what: str
    by: str
    title: str
    href: str
    said: str = ""


def list_happened(actor: Actor, requests: Iterable[ExportRequest], now: dt.datetime) -> tuple[Happened, ...]:
    """Return what happened to requests that the actor wrote, reviewed or remarked on, newest first.

    Only what others did in the last two weeks, the eight newest; `requests` are those that he may see, as he sees them.
    """
    since = now - dt.timedelta(days=DAYS)
    found = (each for one in requests if _has_part(actor, one) for each in _of_request(one))
    told = sorted(
        (one for one in found if one.by != actor.id and one.at >= since), key=lambda one: one.at, reverse=True
    )
    return tuple(told[:MOST])


def _has_part(actor: Actor, request: ExportRequest) -> bool:
    parts = {request.author, *(vote.reviewer for vote in request.votes), *(one.by for one in request.comments)}
    return actor.id in parts


def _of_request(request: ExportRequest) -> Iterator[Happened]:
    href = f"/exports/{request.id}"
    for step in request.steps:
        if step.verb in TOLD:
            yield Happened(step.at, TOLD[step.verb], step.by, request.title, href, step.reason)
    for one in request.comments:
        yield Happened(one.at, COMMENT, one.by, request.title, href, one.text)
