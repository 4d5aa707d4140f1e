"""The answers that a data service gave: kept for good, so that one question has one answer a version of the data."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shuzha.core.records import Noun
from shuzha.core.work import Work


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """One answer to one question over one version of the raw data; `content` is the JSON that every caller gets.

    `why` says, for the platform alone, which check withheld it: rules, differencing or nothing.
    """

    id: str
    product: str
    entry: str
    question: str
    raw_version: int
    withheld: bool
    content: str
    why: str
    asked_by: str
    answered_at: dt.datetime
    revision: int = 0


SERVICE_ANSWERS = Noun(
    "service_answers", ServiceAnswer, unique=[("question", "raw_version")], index=["product", "question"]
)


def find_answer(work: Work, question: str, raw_version: int) -> ServiceAnswer | None:
    """Return the answer to a question over a version; None where it was not asked yet."""
    return next(iter(work.list(SERVICE_ANSWERS, question=question, raw_version=raw_version)), None)


def find_earlier(work: Work, question: str) -> ServiceAnswer | None:
    """Return the newest answer to a question, over whatever version, that was not withheld."""
    return next(iter(work.list(SERVICE_ANSWERS, newest_first=True, question=question, withheld=False)), None)


def count_new(work: Work, product: str, consumer: str, since: dt.datetime) -> int:
    """Return how many questions of a product an organisation was the first to ask since then."""
    table = SERVICE_ANSWERS.table
    return len(work.list(SERVICE_ANSWERS, table.c.answered_at >= since, product=product, asked_by=consumer))
