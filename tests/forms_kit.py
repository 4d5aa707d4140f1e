"""A city with products of the other forms, their consumer API in this process, and the verbs on terms and traces."""

from __future__ import annotations

import datetime as dt
import io
import json
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import polars as pl

from policies import Policies
from products.forms.answering import Answering, ModelDesk, Shelf
from products.forms.deliveries import FetchesOf
from products.forms.predicting.pool import Pool
from products.forms.predicting.probing import Probing
from products.forms.querying.computing import Computing
from products.forms.querying.desk import ServiceDesk
from products.forms.querying.identities import RawIdentities
from products.forms.service import FormParts, FormService
from products.registry.codes import ProductKind
from products.registry.model import Product
from products.registry.service import product_file
from products.serving.app import Parts, make_app
from products.serving.state import ServingState
from sandbox.airlock.memory.service import Memory
from sandbox.airlock.memory.zone import MemoryZone
from sandbox.airlock.rulebook import RuleBook
from shuzha.authorization.agreement import Operation, OutputKind
from shuzha.authorization.model import Grant
from shuzha.authorization.service import GrantScopes, forget_ids
from shuzha.catalog.model import Entry
from shuzha.core.clock import FixedClock
from tests.products_kit import ProductCity, half_paid
from tests.serving_kit import MemoryMeter

MARKS = {"form": "file", "marks": {"spend": {"step": 0.01}, "visits": {"step": 1, "least": 0}}}


def spending(rows: int = 1200) -> bytes:
    """Return a table of a component: four columns, two of them with digits to spare."""
    random = np.random.default_rng(4)
    made = pl.DataFrame({
        "district": random.choice(["370102", "370103", "370104"], rows), "block": np.arange(rows),
        "visits": random.integers(20, 5000, rows), "spend": random.gamma(2.0, 300.0, rows).round(2),
    })  # fmt: skip
    out = io.BytesIO()
    made.write_csv(out)
    return out.getvalue()


MODEL_TERMS = {
    "form": "model",
    "inputs": [
        {"name": "age", "type": "number", "minimum": 18, "maximum": 90, "whole": True},
        {"name": "income", "type": "number", "minimum": 0, "maximum": 1e7, "optional": True},
        {"name": "place", "type": "category", "categories": ["north", "south", "west"]},
    ],
    "buckets": [0.6, 0.8], "distinct_inputs": 1000, "near_inputs": 1000,
}  # fmt: skip


class FormCity:
    """A city, and what serves and traces the forms in it."""

    def __init__(self, folder: Path, city: ProductCity | None = None) -> None:
        self.folder = folder
        self.city = city or ProductCity(folder, FixedClock(dt.datetime(2026, 3, 2, 4, tzinfo=dt.UTC)))
        self._entries = 10
        self.forms = FormService(
            FormParts(
                self.city.database, self.city.policies, self.city.keys, folder / "products", FetchesOf(folder / "usage")
            )
        )

    def granted(self, frame: pl.DataFrame | None = None, **changes: object) -> tuple[Entry, Grant]:
        """Return an entry with data and a grant on it for every form."""
        entry = self.city.filled(half_paid() if frame is None else frame, f"20201{self._entries}")
        self._entries += 1
        authorization = self.city.authorize(entry, output_kinds=tuple(OutputKind))
        told = {"output_kinds": tuple(OutputKind), "operations": tuple(Operation)} | changes
        return entry, self.city.grant(authorization, entry, **told)

    @classmethod
    def of(cls, city: ProductCity) -> FormCity:
        """Return the same over a city that is there."""
        return cls(city.folder, city)

    def component(self, content: bytes | None = None, terms: object = MARKS) -> Product:
        """Return a component in service."""
        _, grant = self.granted()
        product = self.city.deposited(
            grant, content or spending(), ProductKind.COMPONENT, form="table", file="spending.csv"
        )
        if terms is not None:
            self.forms.set_terms(self.city.operator, product.id, json.dumps(terms))
        return self.city.in_service(product)

    def model(self, content: bytes, declared: dict[str, object], terms: object = MODEL_TERMS) -> Product:
        """Return a model in service, as the gate would have let it go."""
        _, grant = self.granted()
        told = {
            "kind": "model", "release": "people", "target": "period", "task": "classification",
            "holdout": {"share": 0.3},
        } | declared  # fmt: skip
        product = self.city.deposited(
            grant, content, ProductKind.MODEL, form="model", file="late.skops", specification=json.dumps(told)
        )
        self.forms.set_terms(self.city.operator, product.id, json.dumps(terms))
        return self.city.in_service(product)

    def answering(self, pool: Pool, probing: Probing, **limits: int) -> Answering:
        """Return what the process of the forms does, over this city."""
        city, scopes = self.city, GrantScopes(self.city.database)
        policies = Policies(scopes)
        identities = RawIdentities(city.database, city.zone, city.keys)
        memory = Memory(city.database, MemoryZone(city.zone.folder / "memory"), identities)
        rules = RuleBook(city.database, policies)
        computing = Computing(city.database, policies, scopes, city.zone, memory, rules)
        services = ServiceDesk(city.database, computing, **limits)
        models = ModelDesk(pool, probing, city.clock, self.folder / "products")
        return Answering(Shelf(city.database), models, services)

    def service(self, specification: dict[str, object], grant: Grant) -> Product:
        """Return a data service in service, as the airlock would have let it go."""
        content = json.dumps({"kind": "service"} | specification).encode()
        product = self.city.deposited(grant, content, ProductKind.SERVICE, form="service", file="service.json")
        return self.city.in_service(product)

    def parts(self, **changes: object) -> Parts:
        """Return fresh parts of the API: a state that has heard all news, and an empty meter."""
        city, folder = self.city, self.folder / "products"
        scopes = GrantScopes(city.database)
        policies = Policies(scopes)
        made = {
            "state": ServingState(city.database, policies, city.keys, folder, forget_ids), "policies": policies,
            "scopes": scopes, "clock": city.clock, "meter": MemoryMeter(), "keys": city.keys,
            "find_file": partial(product_file, folder), "usage_folder": self.folder / "usage",
            "log_folder": self.folder / "logs", "socket": self.folder / "none.sock",
            "forms_socket": self.folder / "run" / "forms.sock",
        }  # fmt: skip
        return Parts(**(made | changes))

    def secret(self, product: Product, consumer: object = None, **limits: int) -> str:
        """Return the secret of a new key."""
        actor = consumer or self.city.consumer
        return self.city.api_keys.create_key(actor, product.id, "x", ("loan-review",), **limits).secret


def caller(parts: Parts, secret: str) -> httpx.AsyncClient:
    """Return a client of the API with a key."""
    transport = httpx.ASGITransport(make_app(parts), client=("127.0.0.1", 5000))
    return httpx.AsyncClient(
        transport=transport, base_url="http://api.localhost:8001", headers={"Authorization": f"Bearer {secret}"}
    )
