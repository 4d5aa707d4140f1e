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
from products.registry.model import PRODUCT, REGISTRATION, Evidence, Product, ProductState, Registration, Sheet
from products.registry.store import PRODUCTS, next_sequence
from sandbox.airlock.specification import VerificationSpecification, parse
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.clock import city_date
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.core.ids import new_id
from shuzha.core.lawbook import LawBook
from shuzha.core.lifecycle import Move
from shuzha.core.money import Price
from shuzha.core.work import Database, Event, Work

_FORMS = {
    ProductKind.VERIFICATION: ("verification",),
    ProductKind.REPORT: ("table", "figure", "text"),
    ProductKind.COMPONENT: ("table",),
    ProductKind.MODEL: ("model",),
    ProductKind.SERVICE: ("table",),
}


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """What the registry is told: where product files lie, and the two fixed parts of its codes."""

    folder: Path
    city_code: str
    industry: str = "I"


class RegistryService:
    """The register of products."""

    def __init__(
        self,
        database: Database,
        policies: Policies,
        lawbook: LawBook,
        released: ReleasedFiles,
        scopes: ScopeSource,
        settings: RegistrySettings,
    ) -> None:
        self._database = database
        self._policies = policies
        self._lawbook = lawbook
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

    def apply(self, actor: Actor, product_id: str) -> Product:
        """Return the product with its registration applied for; also after a supplement."""
        return self._register(actor, product_id, "apply", "registration applied for")

    def accept(self, actor: Actor, product_id: str) -> Product:
        """Return the product with its application accepted; the clock of the formal review starts."""
        with self._database.work(actor) as work:
            due = self._lawbook.due(model.REVIEW_RULE, work.now())
            changes: dict[str, Any] = {"accepted_at": work.now()}
            if due is not None:
                changes |= {"review_due": due.date, "provisional_due": due.provisional}
            return self._move(work, actor, product_id, "accept", "registration accepted", changes)

    def supplement(self, actor: Actor, product_id: str, reason: str) -> Product:
        """Return the product sent back to its applicant to be completed, with the reason."""
        return self._register(actor, product_id, "supplement", "supplement asked for", reason=reason)

    def pass_review(self, actor: Actor, product_id: str) -> Product:
        """Return the product with its formal review passed."""
        return self._register(actor, product_id, "pass", "formal review passed")

    def announce(self, actor: Actor, product_id: str, text: str) -> Product:
        """Return the product on public notice with this text; after an objection the notice starts anew."""
        if not text.strip():
            raise Invalid(f"cannot announce product {product_id} without a text", rule=model.NOTICE_RULE)
        with self._database.work(actor) as work:
            due = self._lawbook.due(model.NOTICE_RULE, work.now())
            if due is None:
                raise Invalid("the law book states no days of notice", rule=model.NOTICE_RULE)
            changes = {
                "noticed_at": work.now(),
                "notice_due": due.date,
                "provisional_due": due.provisional,
                "notice_text": text,
            }
            content = f"on public notice to {due.date.isoformat()}"
            return self._move(work, actor, product_id, "announce", content, changes, data={"due": due.date.isoformat()})

    def object_to(self, actor: Actor, product_id: str, reason: str) -> Product:
        """Return the product with its registration held by an objection during the notice."""
        return self._register(actor, product_id, "object", "objection raised", reason=reason)

    def code(self, actor: Actor, product_id: str) -> Product:
        """Return the product with its code (赋码); refuses while the public notice runs, naming its last day."""
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            # The state is asked first: a product that is not on notice is told so, not that its notice runs.
            REGISTRATION.next(product.registration, "code", product.id)
            self._allow(work, actor, "code", product)
            self._check_not_recalled(product)
            model.check_notice_over(product, city_date(work.now()))
            code = make_code(self._settings.city_code, self._settings.industry, product.kind, next_sequence(work))
            changes = {"code": code, "coded_at": work.now()}
            return self._move(work, actor, product_id, "code", f"code {code} given", changes, data={"code": code})

    def validate(self, actor: Actor, product_id: str) -> Product:
        """Return the product with its registration in force, for the years that the law book gives."""
        with self._database.work(actor) as work:
            years = self._lawbook.get_rule(model.VALIDITY_RULE).years or 3
            until = _years_later(city_date(work.now()), years)
            content = f"registration valid until {until.isoformat()}"
            return self._move(work, actor, product_id, "validate", content, {"valid_until": until})

    def cancel(self, actor: Actor, product_id: str, reason: str) -> Product:
        """Return the product with its registration cancelled (注销); a product in service stops."""
        return self._register(actor, product_id, "cancel", "registration cancelled", reason=reason)

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

    def get_product(self, actor: Actor, product_id: str) -> Product:
        """Return one product that the actor may see, or raise NotFound."""
        with self._database.read() as work:
            product = work.get(PRODUCTS, product_id)
            if not self._policies.can(actor, "product:view", product_resource(product), Context(at=work.now())):
                raise NotFound(f"no products with id {product_id}")
            return product

    def find_by_code(self, code: str) -> Product | None:
        """Return the product of a public code, or None."""
        with self._database.read() as work:
            return next(iter(work.list(PRODUCTS, code=code)), None)

    def list_products(self, actor: Actor, **equal: str) -> tuple[Product, ...]:
        """Return the products that the actor may see, newest first; keywords such as `operator=` narrow them."""
        with self._database.read() as work:
            context = Context(at=work.now())
            found = work.list(PRODUCTS, newest_first=True, **equal)
            return tuple(
                one for one in found if self._policies.can(actor, "product:view", product_resource(one), context)
            )

    def list_notices(self) -> tuple[Product, ...]:
        """Return the products on public notice: what anyone may read and object to."""
        with self._database.read() as work:
            return work.list(PRODUCTS, registration=Registration.PUBLIC_NOTICE.value)

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

    def _register(
        self, actor: Actor, product_id: str, verb: str, content: str, *, reason: str | None = None
    ) -> Product:
        changes = {} if reason is None else {"state_reason": _reason(reason)}
        with self._database.work(actor) as work:
            product = self._move(work, actor, product_id, verb, content, changes, data=_reason_data(reason))
            if verb == "cancel" and PRODUCT.can(product.state, "delist"):
                product = self._store(
                    work, product, "delist", "delisted with its registration", {"state": ProductState.DELISTED}
                )
            return product

    def _serve(self, actor: Actor, product_id: str, verb: str, content: str, *, reason: str | None = None) -> Product:
        with self._database.work(actor) as work:
            product = work.get(PRODUCTS, product_id)
            self._allow(work, actor, verb, product)
            move = PRODUCT.next(product.state, verb, product.id)
            if move.target is ProductState.IN_SERVICE:
                self._check_not_recalled(product)
                model.check_can_start(product)
            if verb == "restore":
                supervises = actor.has("authority") or actor.has("platform")
                model.check_can_restore(product, actor.organisation, supervises=supervises)
            changes: dict[str, Any] = {"state": move.target, "state_reason": "" if reason is None else _reason(reason)}
            changes["suspended_by"] = actor.organisation if verb == "suspend" else ""
            return self._store(work, product, verb, content, changes, data=_reason_data(reason))

    def _move(
        self, work: Work, actor: Actor, product_id: str, verb: str, content: str,
        changes: dict[str, Any], *, data: dict[str, Any] | None = None,
    ) -> Product:  # fmt: skip
        product = work.get(PRODUCTS, product_id)
        self._allow(work, actor, verb, product)
        move: Move[Registration] = REGISTRATION.next(product.registration, verb, product.id)
        return self._store(work, product, verb, content, {**changes, "registration": move.target}, data=data)

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


def _reason(text: str) -> str:
    if not text.strip() or len(text) > 1000:
        raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
    return text.strip()


def _reason_data(reason: str | None) -> dict[str, Any]:
    return {} if reason is None else {"reason": reason}


def _years_later(day: dt.date, years: int) -> dt.date:
    try:
        return day.replace(year=day.year + years) - dt.timedelta(days=1)
    except ValueError:
        return dt.date(day.year + years, 2, 28)


def encode_evidence(product: Product) -> bytes:
    """Return the deposited evidence as the JSON that its hash is of, for whoever wants to check it."""
    plain = msgspec.to_builtins(product.evidence, order="sorted")
    del plain["sha256"]
    return msgspec.json.encode(plain, order="sorted")
