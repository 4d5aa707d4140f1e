"""The index job: from the raw zone, inside the grant's columns and rows, to a file that answers calls.

It bears a repeat: an index of the same specification, raw version and scope is not built twice.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from policies import Context, Policies, Scope, ScopeSource
from products.registry.codes import ProductKind
from products.registry.model import Product, ProductState
from products.registry.service import RegistryService, product_resource, read_verification
from products.serving import snapshot
from products.serving.rows import collect_subjects, hash_subjects
from products.serving.snapshot import Manifest
from sandbox.airlock.specification import VerificationSpecification
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.conditions import Condition, read_conditions
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.keys import KeyRing
from shuzha.core.work import Database

LEAST_SHARE, MOST_SHARE = 0.05, 0.95
LEAST_SUBJECTS = 10
KEY_PURPOSE = "verification-index"


class RawRows(Protocol):
    """Whatever holds the raw zone: `shuzha.catalog` in the platform."""

    def scan(self, entry_id: str, version: int | None = None) -> pl.LazyFrame:
        """Return the entry's rows of one version (the newest where none is named)."""
        ...

    def version(self, entry_id: str) -> int:
        """Return the number of the newest version; raises NotFound where nothing has come in."""
        ...


class IndexService:
    """Builds and opens the indexes of verification products."""

    def __init__(
        self,
        database: Database,
        policies: Policies,
        registry: RegistryService,
        scopes: ScopeSource,
        raw: RawRows,
        keys: KeyRing,
        folder: Path,
    ) -> None:
        self._database = database
        self._policies = policies
        self._registry = registry
        self._scopes = scopes
        self._raw = raw
        self._keys = keys
        self._folder = folder

    def run_build(self, product_id: str) -> Manifest:
        """Return the manifest of the product's index, built from the newest raw version if that is not done yet.

        Refuses a product of another kind or delisted, a scope that does not allow it, and a claim that is true of
        nearly all subjects or of nearly none: its answer would tell about people who were never asked for.
        """
        actor = platform_actor("index")
        product = self._registry.get_product(actor, product_id)
        specification = _specification(product)
        scope = self._allowed_scope(actor, product, specification)
        raw_version = self._raw.version(product.entry)
        folder = index_folder(self._folder, product.id)
        current = snapshot.read_manifest(folder)
        wanted = (raw_version, scope.version, _fingerprint(product))
        if current is None or (current.raw_version, current.scope_version, current.specification) != wanted:
            content, made = self._build(product, specification, scope, raw_version)
            version = (current.version if current else 0) + 1
            current = snapshot.publish(folder, content, snapshot.numbered(made, version))
        if product.index_version != current.version:
            self._registry.record_index(actor, product.id, current.version, current.subjects, current.sha256)
        return current

    def list_stale(self, entry_id: str) -> tuple[str, ...]:
        """Return the ids of the verification products to build anew when an entry has new rows."""
        found = self._registry.list_products(platform_actor("index"), entry=entry_id)
        live = (ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED)
        return tuple(one.id for one in found if one.kind is ProductKind.VERIFICATION and one.state in live)

    def _allowed_scope(self, actor: Actor, product: Product, specification: VerificationSpecification) -> Scope:
        context = Context(
            at=self._database.clock.now(), entry=specification.entry, columns=specification.used_columns,
            operation="verify", output_kind="verification", place="api",
        )  # fmt: skip
        self._policies.check(actor, "data:index", product_resource(product), context)
        state = self._scopes.find_scope(product.grant)
        if state is None:
            raise NotFound(f"no grant with id {product.grant}")
        return state.scope

    def _build(
        self, product: Product, specification: VerificationSpecification, scope: Scope, raw_version: int
    ) -> tuple[bytes, Manifest]:
        rows = self._raw.scan(product.entry, raw_version)
        frame = collect_subjects(rows, specification, read_row_filter(scope.row_filter))
        key = self._keys.derive(KEY_PURPOSE, product.id)
        hashes, values = snapshot.merge(*hash_subjects(frame, specification.subject, key))
        names = tuple(claim.name for claim in specification.claims)
        shares = claim_shares(values, len(names))
        check_shares(product.id, len(values), dict(zip(names, shares, strict=True)))
        made = Manifest(
            product=product.id, version=0, file="", sha256="", subjects=len(values), claims=names,
            subject=tuple(specification.subject), shares=shares, entry=product.entry, raw_version=raw_version,
            scope_version=scope.version, specification=_fingerprint(product),
            built_at=self._database.clock.now().isoformat(),
        )  # fmt: skip
        return snapshot.pack(hashes, values, len(names)), made


def index_folder(folder: Path, product_id: str) -> Path:
    """Return where a product's index lies."""
    return folder / product_id / "index"


def claim_shares(values: npt.NDArray[np.uint8], claims: int) -> tuple[float, ...]:
    """Return of each claim the share of subjects of whom it is true, to four places."""
    if not len(values):
        return (0.0,) * claims
    return tuple(round(float(((values >> place) & 1).mean()), 4) for place in range(claims))


def check_shares(product_id: str, subjects: int, shares: dict[str, float]) -> None:
    """Refuse an index of few subjects, and a claim true of under 5 % or over 95 % of them."""
    if subjects < LEAST_SUBJECTS:
        raise Invalid(
            f"the index of {product_id} would hold {subjects} subjects",
            rule="index.subjects",
            accepted=f"{LEAST_SUBJECTS} or more",
        )
    for name, share in shares.items():
        if not LEAST_SHARE <= share <= MOST_SHARE:
            raise Invalid(
                f"claim `{name}` of {product_id} is true of {share:.2%} of the subjects",
                rule="index.extreme_share",
                accepted=f"{LEAST_SHARE:.0%} to {MOST_SHARE:.0%}",
            )


def read_row_filter(text: str) -> tuple[Condition, ...]:
    """Return the conditions of a scope's row filter; none for an empty one."""
    return read_conditions(json.loads(text)) if text else ()


def _specification(product: Product) -> VerificationSpecification:
    if product.kind is not ProductKind.VERIFICATION or product.state is ProductState.DELISTED:
        raise Invalid(
            f"product {product.id} takes no index: it is a {product.kind.value}, {product.state.value}",
            rule="index.kind", accepted="a verification product that is not delisted",
        )  # fmt: skip
    return read_verification(product.specification)


def _fingerprint(product: Product) -> str:
    return hashlib.sha256(product.specification.encode()).hexdigest()
