"""A use walked back to its raw data: pure functions that turn the records of each room into links of a chain.

Words: a *link* is one thing behind a use, with the hashes by which it is known and what was checked about it. A link
*holds* when the check was made and was right; `None` means that nothing could be checked yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from products.registry.model import Product
from products.serving.snapshot import Manifest
from sandbox.airlock.model import ExportRequest
from shuzha.authorization.document import document_hash, is_signed
from shuzha.authorization.model import Authorization, Grant
from shuzha.catalog.model import Batch, BatchMode, Entry
from shuzha.ledger.checkpoint import Checkpoint
from shuzha.ledger.reader import Proof
from shuzha.ledger.tree import leaf_hash, verify_inclusion
from shuzha.metering.events import UsageEvent
from shuzha.metering.reports import Use
from shuzha.releases.model import Release
from shuzha.settlement.model import Line
from shuzha.settlement.store import Statement


@dataclass(frozen=True, slots=True)
class Link:
    """One thing behind a use: its kind and id, what people call it, its hashes, and whether `checked` held."""

    kind: str
    id: str
    name: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    checked: str = ""
    holds: bool | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """The chain from a use to its raw data, nearest first."""

    usage_id: str
    links: tuple[Link, ...]

    @property
    def holds(self) -> bool:
        """Whether no link was found wrong."""
        return all(link.holds is not False for link in self.links)

    def find(self, kind: str) -> tuple[Link, ...]:
        """Return the links of a kind."""
        return tuple(link for link in self.links if link.kind == kind)


def use_link(use: Use, event: UsageEvent | None) -> Link:
    """Return the use as it is metered, checked against the log's own entry; an erased entry can't be compared."""
    same = None
    if event is not None:
        named = ("usage_id", "product", "consumer", "authorization", "price", "quantity", "waived", "policy_version")
        same = all(getattr(event, name) == getattr(use, name) for name in named)
    return Link(
        "use", use.usage_id, use.kind, {"request": event.request_digest if event else ""},
        {"consumer": use.consumer, "key": use.key_id, "purpose": use.purpose, "claim": use.claim,
         "price_hao": use.price, "quantity": use.quantity, "waived": use.waived, "at": use.occurred_at},
        "the meter says what the log says", same,
    )  # fmt: skip


def log_link(index: int, proof: Proof | None, checkpoint: Checkpoint | None) -> Link:
    """Return the use's place in the usage log, its inclusion proved against the newest signed checkpoint."""
    checked = "the entry is in the log under the signed checkpoint"
    if proof is None or checkpoint is None:
        return Link("log", f"usage/{index}", facts={"index": index}, checked=checked)
    leaf = leaf_hash(proof.entry.leaf)
    held = verify_inclusion(leaf, index, proof.size, proof.hashes, checkpoint.root)
    hashes = {"leaf": leaf.hex(), "root": checkpoint.root.hex(), "commitment": proof.entry.header.commitment}
    return Link("log", f"usage/{index}", checkpoint.origin, hashes, {"index": index, "size": proof.size}, checked, held)


def statement_link(statement: Statement, line: Line, index: int) -> Link:
    """Return the bill's line that counts the use; its digest is computed again."""
    held = statement.as_draft().computed_digest() == statement.digest and line.first <= index <= line.last
    return Link(
        "statement", statement.id, statement.period, {"digest": statement.digest},
        {"uses": line.count, "amount_fen": line.amount_fen, "due_fen": line.due_fen, "parts": dict(line.parts),
         "first": line.first, "last": line.last},
        "the statement has its digest, and the use lies between the line's first and last", held,
    )  # fmt: skip


def product_link(product: Product) -> Link:
    """Return the product; its deposited evidence is hashed again."""
    evidence = product.evidence
    return Link(
        "product", product.id, product.code or "", {"evidence": evidence.sha256, "output": evidence.output_sha256},
        {"kind": product.kind.value, "operator": product.operator, "state": product.state.value,
         "registration": product.registration.value, "index_version": product.index_version},
        "the deposited evidence has its hash", evidence.computed_sha256() == evidence.sha256,
    )  # fmt: skip


def index_link(manifest: Manifest, product: Product, grant: Grant) -> Link:
    """Return the index that a verification answers from now: made of this entry, under this scope, for this product."""
    named = (manifest.product, manifest.entry, manifest.scope_version)
    facts = {"version": manifest.version, "raw_version": manifest.raw_version, "subjects": manifest.subjects,
             "built_at": manifest.built_at}  # fmt: skip
    return Link(
        "index", f"{product.id}/{manifest.version}", "", {"index": manifest.sha256}, facts,
        "the index was built from this entry, under this grant's scope",
        named == (product.id, product.entry, grant.scope.version),
    )  # fmt: skip


def export_link(request: ExportRequest, product: Product, *, signed: bool) -> Link:
    """Return the export; its record is signed, and it is the one that the product's evidence names."""
    found = request.find_file(product.evidence.lineage.file)
    same = found is not None and found.sha256 == product.evidence.output_sha256
    held = signed and same and request.record == product.evidence.certificate_sha256
    return Link(
        "export", request.id, request.title, {"record": request.record, "output": found.sha256 if found else ""},
        {"author": request.author, "reviewers": [vote.reviewer for vote in request.round_votes],
         "released_at": request.released_at},
        "the platform signed the release record, and the product's file is its output", held,
    )  # fmt: skip


def notebook_link(request: ExportRequest, notebook: bytes | None) -> Link:
    """Return the submitted notebook, its bytes hashed again, and the clean room's run of it."""
    run = request.run
    hashes = {"submitted": request.notebook}
    if run is not None:
        hashes |= {"executed": run.notebook, "environment": run.environment}
    held = None if notebook is None else hashlib.sha256(notebook).hexdigest() == request.notebook
    facts = {"run": run.id, "state": run.state} if run else {}
    return Link("notebook", request.notebook[:16], "", hashes, facts, "the kept notebook has its hash", held)


def release_link(release: Release, wrong: Sequence[str]) -> Link:
    """Return a release; certificate, signature and files were verified, `wrong` says what did not hold."""
    certificate = hashlib.sha256(release.certificate.encode()).hexdigest() if release.certificate else ""
    facts: dict[str, Any] = {"rows": release.rows, "raw_version": release.raw_version, "state": release.state.value}
    # A destroyed release has no files by right; its certificate's hash stays.
    standing = release.state.value == "ready"
    return Link(
        "release", release.id, release.name, {"certificate": certificate, "data": release.sha256},
        facts | ({"wrong": list(wrong)} if wrong and standing else {}),
        "its certificate is signed, and its files are those certified", not wrong if standing else None,
    )  # fmt: skip


def grant_link(grant: Grant, use: Use, releases: Iterable[Release]) -> Link:
    """Return the grant; use and releases were decided by exactly its scope."""
    version = grant.scope.version
    held = use.policy_version == version and all(release.scope_version == version for release in releases)
    return Link(
        "grant", grant.id, "", {"scope": version},
        {"demand": grant.demand, "provider": grant.provider, "columns": sorted(grant.scope.columns),
         "purposes": sorted(grant.scope.purposes), "clause": grant.scope.clause, "state": grant.state.value},
        "the use was decided, and the releases built, under this scope", held,
    )  # fmt: skip


def authorization_link(authorization: Authorization) -> Link:
    """Return the authorization; the agreement has its hash and every signature holds over it."""
    signatures = authorization.signatures
    whole = document_hash(authorization) == authorization.document
    held = whole and bool(signatures) and all(is_signed(authorization, one) for one in signatures)
    return Link(
        "authorization", authorization.id, authorization.title, {"agreement": authorization.document},
        {"operator": authorization.operator, "state": authorization.state.value,
         "signed_by": [one.organisation for one in signatures]},
        "both parties signed this agreement", held,
    )  # fmt: skip


def entry_link(entry: Entry) -> Link:
    """Return the raw entry."""
    facts = {"provider": entry.provider, "version": entry.version, "grade": entry.grade, "rows": entry.raw_rows}
    return Link("entry", entry.id, entry.code, {}, facts)


def batch_links(batches: Iterable[Batch], raw_version: int | None) -> tuple[Link, ...]:
    """Return the batches that made this raw version, newest first: back to the newest full one, which replaced all."""
    links = []
    for batch in sorted(batches, key=_version, reverse=True):
        receipt = batch.receipt
        if receipt is None or (raw_version is not None and receipt.delta_version > raw_version):
            continue
        facts = {"rows": receipt.rows, "raw_version": receipt.delta_version, "mode": batch.mode.value}
        links.append(
            Link(
                "batch", batch.id, batch.file_name, {"file": batch.sha256, "receipt": receipt.sha256}, facts,
                "the receipt is of the file that was received", batch.sha256 == receipt.sha256,
            )
        )  # fmt: skip
        if batch.mode is BatchMode.FULL:
            break
    return tuple(links)


def _version(batch: Batch) -> int:
    return -1 if batch.receipt is None else batch.receipt.delta_version
