"""What a product is made of: a released file, checked against the form of the product and its grant, and kept.

A product's own file lies in `<folder>/<product>/files/`. What a change would serve waits in `<product>/cases/<case>/`
until the case is decided, and what was served before stays in `<product>/superseded/<hash>`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from policies import Scope, ScopeSource
from products.registry.codes import ProductKind
from products.registry.exports import ReleasedFile, ReleasedFiles
from products.registry.model import Evidence, Product
from sandbox.airlock.models.specification import parse as parse_model
from sandbox.airlock.specification import ServiceSpecification, VerificationSpecification, parse
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound

MAX_CLAIMS = 8
FORMS = {
    ProductKind.VERIFICATION: ("verification",),
    ProductKind.REPORT: ("table", "figure", "text"),
    ProductKind.COMPONENT: ("table",),
    ProductKind.MODEL: ("model",),
    ProductKind.SERVICE: ("service",),
}


@dataclass(frozen=True, slots=True)
class Output:
    """A released file that may become a product of a form: its evidence, and what follows from grant and content."""

    evidence: Evidence
    content: bytes
    columns: tuple[str, ...]
    purposes: tuple[str, ...]
    specification: str


class Outputs:
    """Released files, and the folder in which products keep theirs."""

    def __init__(self, released: ReleasedFiles, scopes: ScopeSource, folder: Path) -> None:
        self._released = released
        self._scopes = scopes
        self._folder = folder

    def read(self, actor: Actor, export_id: str, file: str, kind: ProductKind, now: dt.datetime) -> Output:
        """Return a released file with its evidence as of now.

        Refuses a file that was not released, that is of another organisation, whose form does not fit the kind, or
        whose specification reads beyond its grant.
        """
        found = self._released.read_released(actor, export_id, file)
        _check_form(actor, found, kind)
        state = self._scopes.find_scope(found.lineage.grant)
        if state is None:
            raise NotFound(f"no grant with id {found.lineage.grant}")
        text, columns = read_description(found, kind, state.scope)
        evidence = Evidence(found.sha256, len(found.content), found.certificate_sha256, found.lineage, now)
        return Output(
            replace(evidence, sha256=evidence.computed_sha256()), found.content, columns,
            tuple(sorted(state.scope.purposes)), text,
        )  # fmt: skip

    def check_standing(self, product: Product) -> None:
        """Refuse a product of a recalled export, and one whose evidence or file is not what was deposited."""
        export = product.evidence.lineage.export
        reason = self._released.recall_of(export)
        if reason is not None:
            raise Invalid(
                f"product {product.id} rests on {export}, which was recalled: {reason}",
                rule="product.recalled (W25 art. 27)", accepted="a product of an export that stands released",
            )  # fmt: skip
        check_evidence(product, self.path(product))

    def path(self, product: Product) -> Path:
        """Return where a product's own file lies."""
        return product_file(self._folder, product)

    def keep(self, product: Product, content: bytes) -> None:
        """Keep a product's own file, at once or not at all."""
        write_file(self.path(product), content)

    def stage(self, product: Product, case_id: str, content: bytes) -> None:
        """Keep what a change would serve, beside what is served."""
        write_file(self._folder / product.id / "cases" / case_id / "output", content)

    def staged(self, product: Product, case_id: str) -> bytes:
        """Return what a change would serve; raises NotFound where it is not there."""
        path = self._folder / product.id / "cases" / case_id / "output"
        if not path.is_file():
            raise NotFound(f"case {case_id} holds no output")
        return path.read_bytes()

    def supersede(self, product: Product, content: bytes, evidence: Evidence) -> Product:
        """Return the product with another output as its own file; the file before stays by its hash."""
        if hashlib.sha256(content).hexdigest() != evidence.output_sha256:
            raise Invalid(f"the new output of product {product.id} is not the one deposited", rule="product.evidence")
        path = self.path(product)
        before = path.read_bytes() if path.is_file() else b""
        # After a crash between file and record the new file may lie here already; the older one was kept then.
        if hashlib.sha256(before).hexdigest() == product.evidence.output_sha256:
            write_file(self._folder / product.id / "superseded" / product.evidence.output_sha256, before)
        fresh = replace(product, evidence=evidence, superseded=(*product.superseded, product.evidence))
        self.keep(fresh, content)
        return fresh


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


def read_description(found: ReleasedFile, kind: ProductKind, scope: Scope) -> tuple[str, tuple[str, ...]]:
    """Return how an output is described, and which columns it rests on; refuses what reaches beyond its grant."""
    if kind is ProductKind.VERIFICATION:
        claims = read_verification(found.content)
        _check_within_grant(claims.entry, claims.used_columns, scope)
        return found.content.decode(), tuple(sorted(claims.used_columns))
    if kind is ProductKind.MODEL:
        declared = parse_model(found.specification.encode())
        _check_within_grant(scope.entry, declared.used_columns, scope)
        return found.specification, tuple(sorted(declared.used_columns))
    if kind is ProductKind.SERVICE:
        service = parse(found.content)
        if not isinstance(service, ServiceSpecification):
            raise Invalid("a data service refuses a specification of another kind", rule="product.specification")
        _check_within_grant(service.entry, service.used_columns, scope)
        return found.content.decode(), tuple(sorted(service.used_columns))
    return "", tuple(sorted(scope.columns))


def _check_form(actor: Actor, found: ReleasedFile, kind: ProductKind) -> None:
    if found.organisation != actor.organisation:
        raise NotAllowed(f"export {found.lineage.export} is of another organisation", rule="product.tenancy")
    if found.form not in FORMS[kind]:
        raise Invalid(
            f"a {kind.value} product refuses a file of form {found.form}", rule="product.kind",
            accepted=", ".join(FORMS[kind]),
        )  # fmt: skip
    if hashlib.sha256(found.content).hexdigest() != found.sha256:
        raise Invalid(f"file {found.lineage.file} is not what its release says", rule="product.evidence")


def _check_within_grant(entry: str, used: frozenset[str], scope: Scope) -> None:
    if entry != scope.entry:
        raise Invalid("the specification names another entry than its grant", rule="grant.entry", accepted=scope.entry)
    columns = scope.columns
    beyond = sorted(used - columns)
    if beyond:
        raise Invalid(
            f"the specification reads the column `{beyond[0]}`, which its grant does not hold",
            rule="grant.columns", accepted=", ".join(sorted(columns)),
        )  # fmt: skip


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def write_file(path: Path, content: bytes) -> None:
    """Write a file at once or not at all, its folder made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.new")
    half.write_bytes(content)
    half.replace(path)
