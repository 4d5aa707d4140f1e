"""The verbs of a product's registration and service: decide, move, check, store and log, in one unit of work."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from policies import Context, Policies, Resource, ScopeSource
from products.registry import model
from products.registry.codes import ProductKind, make_code
from products.registry.exports import ReleasedFile, ReleasedFiles
from products.registry.letters import Facts
from products.registry.model import PRODUCT, REGISTRATION, Evidence, Product, ProductState, Sheet
from products.registry.objecting import Objecting
from products.registry.receipts import public_key, write_receipt
from products.registry.registering import Book, name_of
from products.registry.registration import check_reason
from products.registry.store import PRODUCTS, next_sequence
from sandbox.airlock.specification import VerificationSpecification, parse
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.money import Price
from shuzha.core.work import Database, Event, Work

_FORMS = {
    ProductKind.VERIFICATION: ("verification",),
    ProductKind.REPORT: ("table", "figure", "text"),
    ProductKind.COMPONENT: ("table",),
    ProductKind.MODEL: ("model",),
    ProductKind.SERVICE: ("table",),
}
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
        self._released = released
        self._scopes = scopes
        self._settings = settings

    def deposit(self, actor: Actor, export_id: str, file: str, kind: ProductKind, sheet: Sheet) -> Product:
        """Return a new product whose evidence is deposited (存证, W25 art. 25): hashes and lineage of a released file.

        Refuses a file that was not released, that is of another organisation, whose form does not fit the kind, or
        whose specification reads beyond its grant.
        """
        model.check_sheet(sheet)
        found = self._released.read_released(actor, export_id, file)
        with self._database.work(actor) as work:
            product = self._new_product(actor, found, kind, sheet, work.now())
            self._policies.check(actor, "product:deposit", product_resource(product), Context(at=work.now()))
            work.add(PRODUCTS, product)
            self._store_file(product, found)
            work.emit(
                "product:deposit", product.id, f"evidence of a {kind.value} deposited",
                data={"evidence": product.evidence.sha256, "output": found.sha256, "export": export_id},
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
        self._check_not_recalled(record)
        check_evidence(record, self.file_path(record))

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
            self._check_not_recalled(product)
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
        return product_file(self._settings.folder, product)

    def _new_product(
        self, actor: Actor, found: ReleasedFile, kind: ProductKind, sheet: Sheet, now: dt.datetime
    ) -> Product:
        if found.organisation != actor.organisation:
            raise NotAllowed(f"export {found.lineage.export} is of another organisation", rule="product.tenancy")
        if found.form not in _FORMS[kind]:
            raise Invalid(
                f"a {kind.value} product refuses a file of form {found.form}",
                rule="product.kind",
                accepted=", ".join(_FORMS[kind]),
            )
        if hashlib.sha256(found.content).hexdigest() != found.sha256:
            raise Invalid(f"file {found.lineage.file} is not what its release says", rule="product.evidence")
        state = self._scopes.find_scope(found.lineage.grant)
        if state is None:
            raise NotFound(f"no grant with id {found.lineage.grant}")
        specification = read_verification(found.content) if kind is ProductKind.VERIFICATION else None
        columns = tuple(sorted(specification.used_columns)) if specification else tuple(sorted(state.scope.columns))
        if specification is not None:
            _check_within_grant(specification, state.scope.entry, state.scope.columns)
        evidence = Evidence(found.sha256, len(found.content), found.certificate_sha256, found.lineage, now)
        return Product(
            id=new_id("prd"), kind=kind, sheet=sheet, operator=actor.organisation, author=actor.id,
            demand=found.lineage.demand, grant=found.lineage.grant, authorization=found.lineage.authorization,
            entry=found.lineage.entry, columns=columns, purposes=tuple(sorted(state.scope.purposes)),
            specification=found.content.decode() if specification else "",
            evidence=replace(evidence, sha256=evidence.computed_sha256()), created_at=now,
        )  # fmt: skip

    def _store_file(self, product: Product, found: ReleasedFile) -> None:
        path = self.file_path(product)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.new")
        half.write_bytes(found.content)
        half.replace(path)

    def _serve(self, actor: Actor, product_id: str, verb: str, content: str, *, reason: str | None = None) -> Product:
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._allow(work, actor, verb, product)
            move = PRODUCT.next(product.state, verb, product.id)
            if move.target is ProductState.IN_SERVICE:
                self._check_sound(work, product)
                model.check_can_start(product)
            if verb == "restore":
                supervises = actor.has("authority") or actor.has("platform")
                model.check_can_restore(product, actor.organisation, supervises=supervises)
            changes: dict[str, Any] = {
                "state": move.target,
                "state_reason": "" if reason is None else check_reason(reason),
            }
            changes["suspended_by"] = actor.organisation if verb == "suspend" else ""
            return self._store(work, product, verb, content, changes, data=_reason_data(reason))

    def _check_not_recalled(self, product: Product) -> None:
        export = product.evidence.lineage.export
        reason = self._released.recall_of(export)
        if reason is not None:
            raise Invalid(
                f"product {product.id} rests on {export}, which was recalled: {reason}",
                rule="product.recalled (W25 art. 27)", accepted="a product of an export that stands released",
            )  # fmt: skip

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


def product_file(folder: Path, product: Product) -> Path:
    """Return where a product's own file lies below the folder of products."""
    return folder / product.id / "files" / Path(product.evidence.lineage.file).name


def check_evidence(product: Product, path: Path) -> None:
    """Refuse a product whose evidence or file is not what was deposited (存证)."""
    held = path.read_bytes() if path.is_file() else b""
    whole = product.evidence.computed_sha256() == product.evidence.sha256
    if not whole or hashlib.sha256(held).hexdigest() != product.evidence.output_sha256:
        raise Invalid(
            f"the evidence of product {product.id} does not hold", rule="product.evidence (W25 art. 25)",
            accepted="the output that was deposited",
        )  # fmt: skip


def read_verification(content: bytes | str) -> VerificationSpecification:
    """Return the verification specification of a released file; refuses another kind and more than 8 claims."""
    found = parse(content.encode() if isinstance(content, str) else content)
    if not isinstance(found, VerificationSpecification):
        raise Invalid("a verification product refuses a table specification", rule="product.specification")
    if len(found.claims) > MAX_CLAIMS:
        raise Invalid(f"{len(found.claims)} claims", rule="product.specification", accepted=f"at most {MAX_CLAIMS}")
    return found


MAX_CLAIMS = 8


def _check_within_grant(found: VerificationSpecification, entry: str, columns: frozenset[str]) -> None:
    if found.entry != entry:
        raise Invalid("the specification names another entry than its grant", rule="grant.entry", accepted=entry)
    beyond = sorted(found.used_columns - columns)
    if beyond:
        raise Invalid(
            f"the specification reads the column `{beyond[0]}`, which its grant does not hold",
            rule="grant.columns", accepted=", ".join(sorted(columns)),
        )  # fmt: skip


def _reason_data(reason: str | None) -> dict[str, Any]:
    return {} if reason is None else {"reason": reason}


def encode_evidence(product: Product) -> bytes:
    """Return the deposited evidence as the JSON that its hash is of, for whoever wants to check it."""
    plain = msgspec.to_builtins(product.evidence, order="sorted")
    del plain["sha256"]
    return msgspec.json.encode(plain, order="sorted")
