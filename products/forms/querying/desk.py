"""Answers for data services: the same question the same answer, new ones one at a time, few a day, at a steady pace."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections.abc import Mapping
from typing import Final

from products.forms.line import Refused
from products.forms.querying.answers import ServiceAnswer, count_new, find_answer
from products.forms.querying.asking import question_of, read_parameters, read_service
from products.forms.querying.computing import Computing, Question
from products.registry.model import Product
from shuzha.core.clock import city_date, end_of_day
from shuzha.core.work import Database

NEW_A_DAY: Final = 500
WAITING: Final = 32
QUANTUM: Final = 0.25
"""Seconds: a new answer takes a whole number of these, so that its time tells little of who is in it."""


class ServiceDesk:
    """The one door to data services; in one process."""

    def __init__(self, database: Database, computing: Computing, *, new_a_day: int = NEW_A_DAY) -> None:
        self._database = database
        self._computing = computing
        self._new_a_day = new_a_day
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def query(self, product: Product, consumer: str, sent: Mapping[str, str]) -> bytes:
        """Return the answer as JSON; refuses parameters that do not fit (422) and too many new questions (429)."""
        service = read_service(product.specification)
        chosen = read_parameters(service, sent)
        question = Question(product, service, chosen, question_of(product.id, product.specification, chosen), consumer)
        found = await asyncio.to_thread(self._find, question)
        if found is None:
            found = await self._paced(question)
        return found.content.encode()

    async def _paced(self, question: Question) -> ServiceAnswer:
        if self._waiting >= WAITING:
            raise Refused(503, "busy", "too many new questions wait", "forms.queue", retry_after=2)
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._find_or_compute, question)
        finally:
            self._waiting -= 1
            spent = loop.time() - started
            await asyncio.sleep(math.ceil(spent / QUANTUM) * QUANTUM - spent)

    def _find(self, question: Question) -> ServiceAnswer | None:
        version = self._computing.version(question.product.entry)
        with self._database.read() as work:
            return find_answer(work, question.name, version)

    def _find_or_compute(self, question: Question) -> ServiceAnswer:
        # Asked again inside the turn: the one before may have asked the same.
        version = self._computing.version(question.product.entry)
        now = self._database.clock.now()
        end = end_of_day(city_date(now))
        with self._database.read() as work:
            found = find_answer(work, question.name, version)
            asked = count_new(work, question.product.id, question.consumer, end - dt.timedelta(days=1))
        if found is not None:
            return found
        if asked >= self._new_a_day:
            left = max(1, int((end - now).total_seconds()))
            raise Refused(
                429, "questions_exceeded", "the organisation's new questions of the day are used up",
                "product.probing", f"{self._new_a_day} a day; questions that were answered go on", retry_after=left,
            )  # fmt: skip
        return self._computing.compute(question, version)
