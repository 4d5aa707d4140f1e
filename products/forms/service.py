"""The verbs on a product's form: set its terms, and trace a leaked copy to its buyer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from policies import Context, Policies
from products.consumers.store import KEYS
from products.forms.checking import check_terms
from products.forms.marks.tracing import Suspect, trace
from products.forms.store import LEAK_TRACES, PRODUCT_TERMS, Delivery, LeakTrace, ProductTerms, Suspicion
from products.forms.terms import RULE, FileTerms, Terms, encode_terms, parse_terms
from products.registry.model import Product, Registration
from products.registry.service import product_file, product_resource
from products.registry.store import PRODUCTS
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.core.work import Database

MARKS_KEY: Final = "leak-marks"
KEPT_SUSPECTS: Final = 100
OPEN: Final = (Registration.EVIDENCE, Registration.SUPPLEMENT)

Fetches = Callable[[str, str], tuple[Delivery, ...]]
"""Given product and organisation: the metered fetches, newest first."""


@dataclass(frozen=True, slots=True)
class FormParts:
    """What the verbs need: records, policies, keys, the folder of products, and who fetched what."""

    database: Database
    policies: Policies
    keys: KeyRing
    folder: Path
    fetches: Fetches


class FormService:
    """Terms and traces."""

    def __init__(self, parts: FormParts) -> None:
        self._parts = parts
        self._database = parts.database

    def set_terms(self, actor: Actor, product_id: str, text: str | bytes) -> ProductTerms:
        """Return the product's terms, set or changed before its registration is applied for.

        Refuses terms of another form, terms that the product's file or specification does not bear out, and a product
        whose registration was applied for: what was reviewed is what is served.
        """
        terms = parse_terms(text)
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._parts.policies.check(actor, "product:terms", product_resource(product), Context(at=work.now()))
            if product.registration not in OPEN:
                raise Invalid(
                    f"cannot set the terms of product {product.id}: its registration is {product.registration.value}",
                    rule=RULE, accepted="a product whose registration was not applied for, or is to be supplemented",
                )  # fmt: skip
            check_terms(product, terms, product_file(self._parts.folder, product).read_bytes())
            before = work.find(PRODUCT_TERMS, product.id)
            made = ProductTerms(product.id, encode_terms(terms), actor.id, work.now(), before.revision if before else 0)
            saved = work.save(PRODUCT_TERMS, made) if before else work.add(PRODUCT_TERMS, made)
            digest = hashlib.sha256(made.text.encode()).hexdigest()
            work.emit(
                "product:terms", product.id, f"terms of the {product.kind.value} set",
                data={"product": product.id, "terms": digest},
            )  # fmt: skip
        return saved

    def get_terms(self, actor: Actor, product_id: str) -> ProductTerms | None:
        """Return the terms of a product that the actor may see; None where it has none."""
        with self._database.read() as work:
            self._seen(actor, work.get(PRODUCTS, product_id))
            return work.find(PRODUCT_TERMS, product_id)

    def trace_copy(self, actor: Actor, product_id: str, copy: bytes, reason: str) -> LeakTrace:
        """Return who leaked a copy of a marked product, with the evidence; the trace is kept and logged.

        Every organisation that ever had a key for the product is held against it. Refuses a product without marks, and
        a file that is no table; the file is read in a jail.
        """
        if not reason.strip() or len(reason) > 1000:
            raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
        with self._database.read() as work:
            product = work.get(PRODUCTS, product_id)
            context = Context(at=work.now())
            self._parts.policies.check(actor, "product:trace", product_resource(product), context)
            terms = self.find_terms(product.id)
            buyers = sorted({key.organisation for key in work.list(KEYS) if key.covers(product.id)})
        if not isinstance(terms, FileTerms):
            raise Invalid(f"product {product.id} carries no marks", rule=RULE, accepted="a product with marked columns")
        key = self._parts.keys.derive(MARKS_KEY, product.id)
        found = trace(copy, product_file(self._parts.folder, product), terms.marks, key, buyers)
        suspects = tuple(self._suspicion(product, one) for one in found.suspects[:KEPT_SUSPECTS])
        with self._database.work(actor) as work:
            self._parts.policies.check(actor, "product:trace", product_resource(product), Context(at=work.now()))
            made = LeakTrace(
                new_id("lkt"), product.id, product.authorization, actor.organisation, actor.id, work.now(),
                reason.strip(), hashlib.sha256(copy).hexdigest(), len(copy), found.rows, found.matched, found.cells,
                found.columns, suspects,
            )  # fmt: skip
            work.add(LEAK_TRACES, made)
            work.emit(
                "product:trace", product.id, f"a leaked copy traced: {len(made.named)} of {len(buyers)} buyers named",
                data={"product": product.id, "trace": made.id, "copy": made.copy_sha256,
                      "named": [one.buyer for one in made.named]},
            )  # fmt: skip
        return made

    def list_traces(self, actor: Actor, product_id: str) -> tuple[LeakTrace, ...]:
        """Return the traces of a product's leaked copies, newest first; none for whoever may not trace."""
        with self._database.read() as work:
            product = work.get(PRODUCTS, product_id)
            self._seen(actor, product)
            may = self._parts.policies.can(actor, "product:trace", product_resource(product), Context(at=work.now()))
            return work.list(LEAK_TRACES, newest_first=True, product=product_id) if may else ()

    def find_terms(self, product_id: str) -> Terms | None:
        """Return the terms of a product as the platform reads them; None where it has none."""
        return find_terms(self._database, product_id)

    def _suspicion(self, product: Product, one: Suspect) -> Suspicion:
        fetched = self._parts.fetches(product.id, one.buyer) if one.named else ()
        return Suspicion(one.buyer, one.score, one.log10_chance, one.named, fetched)

    def _seen(self, actor: Actor, product: Product) -> None:
        with self._database.read() as work:
            if not self._parts.policies.can(actor, "product:view", product_resource(product), Context(at=work.now())):
                raise NotFound(f"no products with id {product.id}")


def find_terms(database: Database, product_id: str) -> Terms | None:
    """Return the terms of a product; None where it has none."""
    with database.read() as work:
        found = work.find(PRODUCT_TERMS, product_id)
    return None if found is None else parse_terms(found.text)
