"""The verbs of a product's registration and service: decide, move, check, store and log, in one unit of work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from policies import Context, Policies, Resource, ScopeSource
from products.forms.store import PRODUCT_TERMS
from products.registry import model
from products.registry.case_model import Case
from products.registry.codes import ProductKind, make_code
from products.registry.exports import ReleasedFiles
from products.registry.letters import Facts
from products.registry.model import PRODUCT, REGISTRATION, Evidence, Product, ProductState, Sheet
from products.registry.objecting import Objecting
from products.registry.outputs import Output, Outputs
from products.registry.outputs import product_file as product_file
from products.registry.outputs import read_verification as read_verification
from products.registry.receipts import public_key, write_receipt
from products.registry.registering import Book, name_of
from products.registry.registration import check_reason
from products.registry.store import PRODUCTS, next_sequence
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Invalid
from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.money import Price
from shuzha.core.work import Database, Event, Work

FORMS_ZH = {
    ProductKind.COMPONENT: "数据组件", ProductKind.MODEL: "数据模型", ProductKind.VERIFICATION: "数据核验",
    ProductKind.SERVICE: "数据服务", ProductKind.REPORT: "数据报告",
}  # fmt: skip
"""What the register, which is in Chinese, calls the five forms (J23 art. 4(3))."""


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What the registry is told: where product files lie, and the two fixed parts of its codes."""

    folder: Path
    city_code: str
    industry: str = "I"


class RegistryService(Objecting[Product]):
    """The register of products."""

    def __init__(
        self,
        database: Database,
        policies: Policies,
        lawbook: LawBook,
        released: ReleasedFiles,
        scopes: ScopeSource,
        settings: RegistrySettings,
        keys: KeyRing,
    ) -> None:
        super().__init__(Book(PRODUCTS, REGISTRATION), database, policies, lawbook, keys)
        self._outputs = Outputs(released, scopes, settings.folder)
        self._settings = settings

    def deposit(self, actor: Actor, export_id: str, file: str, kind: ProductKind, sheet: Sheet) -> Product:
        """Return a new product whose evidence is deposited (存证, W25 art. 25): hashes and lineage of a released file.

        Refuses a file that was not released, that is of another organisation, whose form does not fit the kind, or
        whose specification reads beyond its grant.
        """
        model.check_sheet(sheet)
        found = self._outputs.read(actor, export_id, file, kind, self._database.clock.now())
        product = _new_product(actor, found, kind, sheet)
        with self._database.work(actor) as work:
            self._policies.check(actor, "product:deposit", product_resource(product), Context(at=work.now()))
            work.add(PRODUCTS, product)
            self._outputs.keep(product, found.content)
            work.emit(
                "product:deposit", product.id, f"evidence {product.evidence.sha256} of a {kind.value} deposited",
                data={
                    "evidence": product.evidence.sha256, "output": product.evidence.output_sha256, "export": export_id,
                },
            )  # fmt: skip
        return product

    def resource(self, record: Product) -> Resource:
        """Return the product as the policy layer sees it."""
        return product_resource(record)

    def facts(self, work: Work, record: Product) -> Facts:
        """Return what the letters say of the product, read from the live records."""
        entry = work.find(ENTRIES, record.entry)
        source = record.entry if entry is None else f"{entry.title.zh}（{name_of(work, entry.provider)}）"
        return Facts(
            record.id, record.sheet.title_zh, FORMS_ZH[record.kind], name_of(work, record.operator), (source,),
            record.sheet.answers, record.evidence.sha256,
        )  # fmt: skip

    def check_sheet(self, sheet: Any) -> None:
        """Refuse a sheet that leaves a buyer without an answer."""
        model.check_sheet(sheet)

    def _make_code(self, work: Work, record: Product) -> str:
        return make_code(self._settings.city_code, self._settings.industry, record.kind, next_sequence(work))

    def _check_sound(self, work: Work, record: Product) -> None:
        """Refuse a product of a recalled export, and one whose file or evidence is not what was deposited."""
        self._outputs.check_standing(record)

    def stage(self, actor: Actor, record: Product, case_id: str, export: str, file: str, anew: bool) -> Evidence | None:
        """Return the evidence of the output that a change would serve; refuses one of another grant."""
        if not export:
            return None
        found = self._outputs.read(actor, export, file, record.kind, self._database.clock.now())
        if found.evidence.lineage.grant != record.grant:
            raise Invalid(
                f"the new output of product {record.id} is of another grant", rule="registration.case",
                accepted="a registration of its own",
            )  # fmt: skip
        if found.evidence.output_sha256 == record.evidence.output_sha256:
            raise Invalid(f"the new output of product {record.id} is the one it serves", rule="registration.case")
        self._outputs.stage(record, case_id, found.content)
        return found.evidence

    def _served_anew(self, work: Work, record: Product, case: Case) -> Product:
        # The service waits for its operating unit: what it answers is another thing now, and an index has to be built.
        if case.evidence is None:
            return record
        content = self._outputs.staged(record, case.id)
        fresh = self._outputs.supersede(record, content, case.evidence)
        changes: dict[str, Any] = {
            "evidence": fresh.evidence, "superseded": fresh.superseded, "index_version": 0, "index_subjects": 0,
        }  # fmt: skip
        if record.kind is ProductKind.VERIFICATION:
            specification = read_verification(content)
            changes |= {
                "specification": content.decode(), "columns": tuple(sorted(specification.used_columns)),
            }  # fmt: skip
        elif record.kind is ProductKind.SERVICE:
            changes["specification"] = content.decode()
        if PRODUCT.can(record.state, "refit"):
            changes["state"] = PRODUCT.next(record.state, "refit", record.id).target
        data = {"output": fresh.evidence.output_sha256, "case": case.id, "kind": record.kind.value}
        return self._store(work, record, "refit", f"another output by case {case.id}", changes, data=data)

    def _ended(self, work: Work, record: Product, verb: str) -> Product:
        if not PRODUCT.can(record.state, "delist"):
            return record
        return self._store(work, record, "delist", "delisted with its registration", {"state": ProductState.DELISTED})

    def _event_data(self, record: Product) -> dict[str, Any]:
        return {"authorization": record.authorization}

    def get_product(self, actor: Actor, product_id: str) -> Product:
        """Return one product that the actor may see, or raise NotFound."""
        return self.get(actor, product_id)

    def list_products(self, actor: Actor, **equal: str) -> tuple[Product, ...]:
        """Return the products that the actor may see, newest first; keywords such as `operator=` narrow them."""
        return self.list_all(actor, **equal)

    def read_receipt(self, actor: Actor, product_id: str) -> bytes:
        """Return the signed receipt of the product's evidence, which anybody verifies offline."""
        product = self.get(actor, product_id)
        return write_receipt(self._keys, product.id, product.operator, product.evidence)

    def public_key(self) -> str:
        """Return the key by which receipts and dossiers are verified, in hex."""
        return public_key(self._keys)

    def list_product(
        self, actor: Actor, product_id: str, price: Price, waived_purposes: tuple[str, ...] = ()
    ) -> Product:
        """Return the product on the price list; for a verification the event makes a worker build its index.

        `waived_purposes` are priced, metered and waived (计价免费). Refuses before the registration is valid.
        """
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._allow(work, actor, "list", product)
            self._check_sound(work, product)
            move = PRODUCT.next(product.state, "list", product.id)
            model.check_can_list(product)
            model.check_waiver(product, waived_purposes)
            return self._store(
                work, product, "list", f"listed at {price.yuan()} yuan",
                {"state": move.target, "price": price, "waived_purposes": waived_purposes},
                data={"kind": product.kind.value, "price": price.hao},
            )  # fmt: skip

    def set_price(self, actor: Actor, product_id: str, price: Price, waived_purposes: tuple[str, ...] = ()) -> Product:
        """Return the product with a new price; uses from now on are metered at it, earlier ones keep theirs."""
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._allow(work, actor, "price", product)
            if product.state not in (ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED):
                raise Invalid(f"cannot price product {product.id}: it is {product.state.value}", rule="product.price")
            model.check_waiver(product, waived_purposes)
            return self._store(
                work, product, "price", f"priced at {price.yuan()} yuan",
                {"price": price, "waived_purposes": waived_purposes}, data={"price": price.hao},
            )  # fmt: skip

    def start(self, actor: Actor, product_id: str) -> Product:
        """Return the product in service; refuses a verification product without an index."""
        return self._serve(actor, product_id, "start", "in service")

    def suspend(self, actor: Actor, product_id: str, reason: str) -> Product:
        """Return the product suspended: within a second its calls are refused with the reason."""
        return self._serve(actor, product_id, "suspend", "suspended", reason=reason)

    def restore(self, actor: Actor, product_id: str, reason: str) -> Product:
        """Return the suspended product in service again."""
        return self._serve(actor, product_id, "restore", "restored", reason=reason)

    def follow_recall(self, event: Event) -> None:
        """Suspend what is listed or in service of a recalled export; bears a repeat.

        The rest needs no verb: a product whose export was recalled can no longer be coded, listed, started or restored.
        """
        actor, reason = platform_actor("registry"), f"its export was recalled: {event.data.get('reason', '')}"
        with self._database.read() as work:
            found = work.list(PRODUCTS, authorization=str(event.data.get("authorization", "")))
        for one in found:
            if one.evidence.lineage.export == event.subject and PRODUCT.can(one.state, "suspend"):
                self.suspend(actor, one.id, reason)

    def delist(self, actor: Actor, product_id: str, reason: str) -> Product:
        """Return the product delisted, for good."""
        return self._serve(actor, product_id, "delist", "delisted", reason=reason)

    def record_index(self, actor: Actor, product_id: str, version: int, subjects: int, sha256: str) -> Product:
        """Return the product with its new index noted: what the index job says when the file is in place."""
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._allow(work, actor, "build", product)
            return self._store(
                work, product, "build", f"index version {version} built over {subjects} subjects",
                {"index_version": version, "index_subjects": subjects},
                data={"version": version, "subjects": subjects, "sha256": sha256},
            )  # fmt: skip

    def file_path(self, product: Product) -> Path:
        """Return where the product's own file lies (reports and components)."""
        return self._outputs.path(product)

    def _serve(self, actor: Actor, product_id: str, verb: str, content: str, *, reason: str | None = None) -> Product:
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._allow(work, actor, verb, product)
            move = PRODUCT.next(product.state, verb, product.id)
            if move.target is ProductState.IN_SERVICE:
                self._check_sound(work, product)
                model.check_can_start(product)
                _check_terms(work, product)
            if verb == "restore":
                supervises = actor.has("authority") or actor.has("platform")
                model.check_can_restore(product, actor.organisation, supervises=supervises)
            changes: dict[str, Any] = {
                "state": move.target,
                "state_reason": "" if reason is None else check_reason(reason),
            }
            changes["suspended_by"] = actor.organisation if verb == "suspend" else ""
            return self._store(work, product, verb, content, changes, data=_reason_data(reason))

    def _allow(self, work: Work, actor: Actor, verb: str, product: Product) -> None:
        self._policies.check(actor, f"product:{verb}", product_resource(product), Context(at=work.now()))

    @staticmethod
    def _store(
        work: Work,
        product: Product,
        verb: str,
        content: str,
        changes: dict[str, Any],
        *,
        data: dict[str, Any] | None = None,
    ) -> Product:
        saved = work.save(PRODUCTS, replace(product, **changes))
        facts = {"product": product.id, "authorization": product.authorization, **(data or {})}
        work.emit(f"product:{verb}", product.id, f"product {product.code or product.id}: {content}", data=facts)
        return saved


def product_resource(product: Product) -> Resource:
    """Return the product as the policy layer sees it."""
    return Resource(
        kind="product", id=product.id, organisation=product.operator, author=product.author,
        authorization=product.authorization, grant=product.grant,
    )  # fmt: skip


def _new_product(actor: Actor, found: Output, kind: ProductKind, sheet: Sheet) -> Product:
    lineage = found.evidence.lineage
    return Product(
        id=new_id("prd"), kind=kind, sheet=sheet, operator=actor.organisation, author=actor.id, demand=lineage.demand,
        grant=lineage.grant, authorization=lineage.authorization, entry=lineage.entry, columns=found.columns,
        purposes=found.purposes, specification=found.specification, evidence=found.evidence,
        created_at=found.evidence.deposited_at,
    )  # fmt: skip


def _check_terms(work: Work, product: Product) -> None:
    """Refuse to start a model of which nobody said what may be sent."""
    if product.kind is ProductKind.MODEL and work.find(PRODUCT_TERMS, product.id) is None:
        raise Invalid(
            f"cannot start product {product.id}: it has no terms", rule="forms.terms",
            accepted="a model whose inputs were said before its registration",
        )  # fmt: skip


def _reason_data(reason: str | None) -> dict[str, Any]:
    return {} if reason is None else {"reason": reason}


def encode_evidence(product: Product) -> bytes:
    """Return the deposited evidence as the JSON that its hash is of, for whoever wants to check it."""
    plain = msgspec.to_builtins(product.evidence, order="sorted")
    del plain["sha256"]
    return msgspec.json.encode(plain, order="sorted")
