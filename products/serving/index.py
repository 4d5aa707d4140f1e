"""The index job: from the raw zone, inside the grant's columns and rows, to segments that answer calls.

It bears a repeat: an index of the same specification, raw version and scope is not built twice. Where only rows
changed, and the table says which, the index is updated; else it is built from all rows.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from policies import Context, Policies, Scope, ScopeSource
from products.registry.codes import ProductKind
from products.registry.model import Product, ProductState
from products.registry.service import RegistryService, product_resource, read_verification
from products.serving import snapshot, watching
from products.serving.building import Built, Watch, adopt, among, build_all, build_changes
from products.serving.places import KEY_PURPOSE, index_folder
from products.serving.rows import KeyedRows, Recipe, read_keyed, written_subjects
from products.serving.segments import reduce_rows
from products.serving.snapshot import FORMAT, Manifest
from sandbox.airlock.specification import VerificationSpecification
from shuzha.catalog.changes import CHANGE
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.conditions import Condition, read_conditions
from shuzha.core.errors import Invalid, NotFound
from shuzha.core.keys import KeyRing
from shuzha.core.work import Database

LEAST_SHARE, MOST_SHARE = 0.05, 0.95
LEAST_SUBJECTS = 10
MOST_REASON = 1000
MOST_CHANGED = 0.25
"""The share of changed rows from which on all rows are read: following so many changes costs more."""


class RawRows(Protocol):
    """Whatever holds the raw zone: `shuzha.catalog` in the platform."""

    def scan(self, entry_id: str, version: int | None = None) -> pl.LazyFrame:
        """Return the entry's rows of one version (the newest where none is named)."""
        ...

    def version(self, entry_id: str) -> int:
        """Return the number of the newest version; raises NotFound where nothing has come in."""
        ...

    def changes(self, entry_id: str, since: int, until: int, columns: Sequence[str]) -> pl.DataFrame | None:
        """Return the rows that came and went in between, with their sum in `__change`; None where that is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class _Task:
    """One build: of what, within which scope, from which version of the raw rows."""

    product: Product
    specification: VerificationSpecification
    scope: Scope
    raw_version: int
    recipe: Recipe


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

    def run_build(self, product_id: str, say: watching.Say | None = None) -> Manifest:
        """Return the manifest of the product's index, built from the newest raw version if that is not done yet.

        `say` hears the progress. Refuses a product of another kind or delisted, a scope that does not allow it, and a
        claim that is true of nearly all subjects or of nearly none: its answer would tell about people who were never
        asked for. A build that is refused, cancelled or killed leaves the index as it was.
        """
        actor = platform_actor("index")
        product = self._registry.get_product(actor, product_id)
        specification = _specification(product)
        scope = self._allowed_scope(actor, product, specification)
        folder = index_folder(self._folder, product.id)
        with watching.building(folder, say) as watch:
            raw_version = self._raw.version(product.entry)
            recipe = Recipe(
                specification, read_row_filter(scope.row_filter), self._keys.derive(KEY_PURPOSE, product.id)
            )
            task = _Task(product, specification, scope, raw_version, recipe)
            current = snapshot.read_manifest(folder)
            if current is None or _source(current) != (raw_version, *_rules(task)):
                snapshot.sweep(folder)
                current = self._build(task, folder, current, watch)
            product = self._registry.get_product(actor, product_id)
            if product.index_version != current.version:
                self._registry.record_index(actor, product.id, current.version, current.subjects, current.sha256)
        return current

    def run_job(self, product_id: str) -> None:
        """Build as `run_build`; a build that somebody cancelled is no failed job, and is not tried again."""
        with suppress(watching.BuildCancelled):
            self.run_build(product_id)

    def list_unfinished(self) -> tuple[str, ...]:
        """Return the ids of products whose index is missing or of a form of before: what a new start has to build."""
        live = (ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED)
        found = self._registry.list_products(platform_actor("index"))
        return tuple(
            one.id for one in found
            if one.kind is ProductKind.VERIFICATION and one.state in live
            and snapshot.read_manifest(index_folder(self._folder, one.id)) is None
        )  # fmt: skip

    def find_progress(self, actor: Actor, product_id: str) -> watching.BuildProgress | None:
        """Return how far the running build of a product that the actor may see is; None where none runs."""
        return watching.read_progress(index_folder(self._folder, self._registry.get_product(actor, product_id).id))

    def cancel_build(self, actor: Actor, product_id: str, reason: str) -> None:
        """Ask the running build of a product to end; the index stays as it was. Refuses where none runs."""
        if not reason.strip() or len(reason) > MOST_REASON:
            raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
        product = self._registry.get_product(actor, product_id)
        with self._database.work(actor) as work:
            self._policies.check(actor, "product:refresh", product_resource(product), Context(at=work.now()))
            watching.ask_to_end(index_folder(self._folder, product.id))
            work.emit("product:refresh", product.id, f"build of the index cancelled: {reason.strip()}")

    def sweep(self) -> None:
        """Remove what killed builds left; where one runs, nothing is touched."""
        for folder in self._folder.glob("prd_*/index"):
            if not watching.is_building(folder):
                with watching.building(folder):
                    snapshot.sweep(folder)

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

    def _build(self, task: _Task, folder: Path, current: Manifest | None, watch: Watch) -> Manifest:
        started = time.monotonic()
        names = tuple(claim.name for claim in task.specification.claims)
        changed = None if current is None else self._changes(task, current)
        if current is None or changed is None:
            rows = self._raw.scan(task.product.entry, task.raw_version)
            count = int(rows.select(pl.len()).collect().item())
            built = build_all(partial(read_keyed, rows, task.recipe), count, len(names), folder, watch)
        else:
            built = self._update(task, folder, current, changed, watch)
        shares = built.shares(len(names))
        check_shares(task.product.id, built.subjects, dict(zip(names, shares, strict=True)))
        adopt(folder, built.segments)
        specification, scope_version, form = _rules(task)
        base, count = (0, 0) if current is None or changed is None else (current.version, changed.height)
        made = Manifest(
            product=task.product.id, version=self._next_version(task.product, current), subjects=built.subjects,
            claims=names, subject=tuple(task.specification.subject), shares=shares, entry=task.product.entry,
            raw_version=task.raw_version, scope_version=scope_version, specification=specification,
            built_at=self._database.clock.now().isoformat(), prefix_bits=built.shape.prefix,
            segment_bits=built.shape.segment, segments=built.segments,
            way="update" if base else "full",
            base=base, changed=count, seconds=round(time.monotonic() - started, 2), format=form,
        )  # fmt: skip
        return snapshot.publish(folder, made)

    @staticmethod
    def _next_version(product: Product, current: Manifest | None) -> int:
        return max(product.index_version, current.version if current else 0) + 1

    def _changes(self, task: _Task, current: Manifest) -> pl.DataFrame | None:
        """Return the changed rows by which the index can be updated; None where all rows must be read."""
        since, *rules = _source(current)
        if tuple(rules) != _rules(task) or not 0 <= int(since) < task.raw_version:
            return None
        with suppress(NotFound):
            changed = self._raw.changes(task.product.entry, int(since), task.raw_version, task.recipe.columns)
            few = changed is not None and changed.height <= MOST_CHANGED * max(current.subjects, 1)
            return changed if few else None
        return None

    def _update(self, task: _Task, folder: Path, current: Manifest, changed: pl.DataFrame, watch: Watch) -> Built:
        """Return the index with changed rows followed: who only gained rows by those, who lost one by all of his."""
        went = changed.lazy().filter(pl.col(CHANGE) < 0)
        came = changed.lazy().filter(pl.col(CHANGE) > 0)
        lost: list[KeyedRows] = []
        read_keyed(went, task.recipe, lost.append)
        keys, low, _ = reduce_rows(*_joined(lost).columns)
        fresh: list[KeyedRows] = []
        read_keyed(came, task.recipe, fresh.append)
        watch.step("changes", changed.height, changed.height)

        def take(batch: KeyedRows) -> None:
            mine = among(batch.high, batch.low, keys, low)
            fresh.append(KeyedRows(batch.high[mine], batch.low[mine], batch.bits[mine]))
            watch.step("changes", changed.height, changed.height)

        if len(keys):
            rows = self._raw.scan(task.product.entry, task.raw_version)
            read_keyed(rows, task.recipe, take, written_subjects(went, task.recipe))
        return build_changes(current, folder, (keys, low), _joined(fresh), watch)


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


def _rules(task: _Task) -> tuple[str, str, int]:
    """Return what an index rests on beside the rows: another of these, and all rows are read again."""
    specification = hashlib.sha256(task.product.specification.encode()).hexdigest()
    return specification, task.scope.version, FORMAT


def _source(manifest: Manifest) -> tuple[int, str, str, int]:
    return manifest.raw_version, manifest.specification, manifest.scope_version, manifest.format


def _joined(batches: Sequence[KeyedRows]) -> KeyedRows:
    if not batches:
        return KeyedRows(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint8))
    return KeyedRows(
        np.concatenate([one.high for one in batches]),
        np.concatenate([one.low for one in batches]),
        np.concatenate([one.bits for one in batches]),
    )
