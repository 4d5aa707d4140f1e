"""What the process of the forms does with a question: find the product, check, count, run, say."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from products.forms.line import Predict, Query, Refused, Request
from products.forms.predicting.inputs import read_inputs, say_output
from products.forms.predicting.pool import Model, Pool
from products.forms.predicting.probing import Probing
from products.forms.querying.desk import ServiceDesk
from products.forms.service import find_terms
from products.forms.terms import ModelTerms, Terms
from products.registry.model import Product
from products.registry.service import product_file
from products.registry.store import PRODUCTS
from sandbox.airlock.models.specification import ModelSpecification
from sandbox.airlock.models.specification import parse as parse_model
from shuzha.core.clock import Clock
from shuzha.core.errors import NotAllowed, ShuzhaError
from shuzha.core.work import Database

KNOWN_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Known:
    """A product as it was read a moment ago, with its terms."""

    product: Product
    terms: Terms | None
    read_at: float


class Shelf:
    """Products by id, read anew after two seconds: suspensions are the API's business, and it hears of them at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Known] = {}

    def find(self, product_id: str) -> Known:
        """Return a product; refuses one that is not there."""
        found = self._known.get(product_id)
        if found is None or time.monotonic() - found.read_at > KNOWN_SECONDS:
            with self._database.read() as work:
                product = work.find(PRODUCTS, product_id)
            if product is None:
                raise Refused(404, "product_unknown", "no product has this code", "product.code")
            found = self._known[product_id] = Known(product, find_terms(self._database, product_id), time.monotonic())
        return found


class ModelDesk:
    """Answers for models."""

    def __init__(self, pool: Pool, probing: Probing, clock: Clock, folder: Path) -> None:
        self._pool = pool
        self._probing = probing
        self._clock = clock
        self._folder = folder

    async def predict(self, known: Known, consumer: str, inputs: list[dict[str, Any]]) -> list[bytes]:
        """Return an answer for each input as JSON; refuses all of them where one does not fit or is too many."""
        product, terms = known.product, known.terms
        if not isinstance(terms, ModelTerms):
            raise Refused(503, "terms_missing", "the product has no terms of a model", "forms.terms")
        rows = [read_inputs(terms, one) for one in inputs]
        now = self._clock.now().timestamp()
        # Counted before it is run: an answer that nobody pays for tells as much as another.
        await asyncio.to_thread(self._probing.take, product.id, consumer, terms, rows, now)
        specification = parse_model(product.specification.encode())
        order = [[one.name for one in terms.inputs].index(name) for name in specification.columns]
        ordered = [[row[at] for at in order] for row in rows]
        scored = await self._pool.score(self._model(product, specification), ordered)
        return [msgspec.json.encode(say_output(terms, scored.classes, scores)) for scores in scored.scores]

    def _model(self, product: Product, specification: ModelSpecification) -> Model:
        path = product_file(self._folder, product)
        return Model(product.id, product.evidence.output_sha256, path, specification)


class Answering:
    """The one door: every request of the line."""

    def __init__(self, shelf: Shelf, models: ModelDesk, services: ServiceDesk) -> None:
        self._shelf = shelf
        self._models = models
        self._services = services

    async def answer(self, request: Request) -> list[bytes]:
        """Return the answers as JSON; raises Refused."""
        try:
            known = await asyncio.to_thread(self._shelf.find, request.product)
            match request:
                case Predict():
                    return await self._models.predict(known, request.consumer, request.inputs)
                case Query():
                    return [await self._services.query(known.product, request.consumer, request.parameters)]
        except NotAllowed as error:
            raise Refused(403, "not_allowed", error.message, error.rule or "", error.accepted or "") from None
        except ShuzhaError as error:
            raise Refused(503, error.code, error.message, error.rule or "", error.accepted or "") from None
