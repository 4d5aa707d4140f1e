"""The registration dossier: one ZIP file written from the live records, with a signed manifest of hashes.

It holds the audit log's proof of the deposit, once the log has signed for it: so nobody can have dated it back.

What does not hold is not written: before a dossier is made, evidence, file, certificate, commitment and the columns of
the specification are compared with what stands in the records now, and the first that differs is the refusal. Equal
records make equal bytes, but for the proof, which follows the log.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from policies import ScopeSource
from products.registry import dcat, odps
from products.registry.cases import CaseService
from products.registry.exports import ReleasedFiles
from products.registry.letters import is_committed
from products.registry.model import Product
from products.registry.outputs import check_evidence, digest_of
from products.registry.receipts import KEY_NAME, Check, canonical
from products.registry.service import FORMS_ZH, RegistryService
from products.registry.sheet import Addresses, ProductSheet, Sheets
from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict, Invalid
from shuzha.core.keys import KeyRing
from shuzha.ledger import verify as verifier
from shuzha.ledger.reader import Proof

FORMAT: Final = "shuzha-registration-dossier/1"
MANIFEST: Final = "manifest.json"
PROOF: Final = "deposit-proof.json"
MOST_BYTES: Final = 64 * 1024**2
Prove = Callable[[str, str], Proof | None]
"""Returns the audit log's proof of the newest event of a tag about a thing, None before the log signed for it."""
_FIRST = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class DossierReport:
    """What a dossier was found to be: of which subject, and each check in order."""

    subject: str
    checks: tuple[Check, ...]

    @property
    def sound(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)


class Dossiers:
    """The dossiers of products."""

    def __init__(
        self, registry: RegistryService, cases: CaseService, sheets: Sheets, released: ReleasedFiles,
        scopes: ScopeSource, keys: KeyRing, addresses: Addresses, prove: Prove,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._cases = cases
        self._sheets = sheets
        self._released = released
        self._scopes = scopes
        self._keys = keys
        self._addresses = addresses
        self._prove = prove

    def write(self, actor: Actor, product_id: str) -> bytes:
        """Return the dossier of a product that the actor may see; refuses one that the records contradict."""
        product = self._registry.get(actor, product_id)
        certificate = self._released.read_certificate(actor, product.evidence.lineage.export)
        wrong = [one for one in self._compare(product, certificate) if not one.holds]
        if wrong:
            raise Conflict(
                f"the dossier of product {product.id} would contradict its records: {wrong[0].what}",
                rule="registration.dossier", accepted=wrong[0].said,
            )  # fmt: skip
        parts = dict(self._parts(actor, product, certificate))
        return pack(self._keys, product.id, parts)

    def check(self, actor: Actor, product_id: str) -> tuple[Check, ...]:
        """Return what the dossier of a product rests on, compared with the records as they are now."""
        product = self._registry.get(actor, product_id)
        return tuple(self._compare(product, self._released.read_certificate(actor, product.evidence.lineage.export)))

    def _compare(self, product: Product, certificate: bytes) -> Iterator[Check]:
        yield Check("file", _holds_evidence(self._registry, product), "the file served is the one deposited")
        same = digest_of(certificate) == product.evidence.certificate_sha256
        yield Check("certificate", same, "the release record has the hash that was deposited")
        if product.commitment is not None:
            yield Check("commitment", is_committed(self._keys, product.commitment), "signed by the holder as it stands")
            first = (*product.superseded, product.evidence)[0].deposited_at
            before = product.applied_at is not None and first <= product.applied_at
            yield Check("order", before, "the evidence was deposited before the application")
        state = self._scopes.find_scope(product.grant)
        if state is not None:
            beyond = set(product.columns) - set(state.scope.columns)
            yield Check("columns", not beyond, "every column used is one of the grant's")
            purposes = set(product.purposes) <= set(state.scope.purposes)
            yield Check("purposes", purposes, "every purpose is one of the grant's")

    def _parts(self, actor: Actor, product: Product, certificate: bytes) -> Iterator[tuple[str, bytes]]:
        sheet = self._sheets.read(actor, product.id)
        yield "basic.json", _json(_basic(product, sheet))
        agent = product.application.agent if product.application else None
        yield "agent.json", _json(asdict(agent) if agent else {"agent": None, "said": "the holder applies itself"})
        yield "storage.json", _json(_storage(product, sheet))
        yield "description.md", _describe(product, sheet).encode()
        if product.commitment is not None:
            yield "commitment.txt", product.commitment.text.encode()
            yield "commitment.json", _json(msgspec.to_builtins(product.commitment))
        yield "lineage.json", _json(msgspec.to_builtins(product.evidence.lineage))
        yield "certificate.json", certificate
        yield "receipt.json", self._registry.read_receipt(actor, product.id)
        proof = self._prove("product:deposit", product.id)
        if proof is not None:
            yield PROOF, _json(proof.document())
        yield "superseded.json", _json(msgspec.to_builtins(product.superseded))
        notice = product.notice_text or self._registry.preview_notice(actor, product.id)
        yield "notice.txt", notice.encode()
        raised = self._registry.list_public_objections(product.id)
        yield "objections.json", _json(msgspec.to_builtins(raised))
        yield "cases.json", _json(msgspec.to_builtins(self._cases.list_public(product.id)))
        yield "checks.json", _json([asdict(one) for one in self._compare(product, certificate)])
        yield "sheet.json", _json(msgspec.to_builtins(sheet))
        yield "dcat.jsonld", _json(dcat.write_product(sheet, self._addresses))
        yield "odps.json", _json(odps.write_product(sheet, self._addresses))


def pack(keys: KeyRing, subject: str, parts: Mapping[str, bytes]) -> bytes:
    """Return the parts as one ZIP file, the manifest of their hashes first and signed; equal parts give equal bytes."""
    stated = {
        "format": FORMAT, "subject": subject,
        "parts": {name: {"sha256": digest_of(content), "size": len(content)} for name, content in parts.items()},
    }  # fmt: skip
    signature = keys.signing_key(KEY_NAME).sign(canonical(stated)).hex()
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {MANIFEST: canonical({**stated, "signature": signature}), **parts}.items():
            archive.writestr(zipfile.ZipInfo(name, _FIRST), content, zipfile.ZIP_DEFLATED)
    return held.getvalue()


def verify_dossier(content: bytes, key: bytes, log_key: str | None = None) -> DossierReport:
    """Return whether a dossier is the registry's and whole: no part changed, missing or added; asks nobody.

    `key` is the registry's raw Ed25519 key. With the audit log's key (its line `name+id+base64`) also whether the
    deposit stands in that log. Raises Invalid for what is no dossier.
    """
    stated, parts = _read(content)
    unsigned = {name: value for name, value in stated.items() if name != "signature"}
    listed: dict[str, Any] = stated["parts"]
    wrong = sorted(name for name, content in parts.items() if listed.get(name, {}).get("sha256") != digest_of(content))
    lost = sorted(set(listed) - set(parts))
    logged = () if log_key is None else (_check_log(parts, str(stated["subject"]), log_key),)
    return DossierReport(str(stated["subject"]), (
        Check("signature", _is_signed(key, stated["signature"], canonical(unsigned)), "signed by the registry's key"),
        Check("parts", not wrong, f"{wrong[0]} differs" if wrong else f"{len(parts)} parts have their hashes"),
        Check("whole", not lost, f"{lost[0]} is missing" if lost else "no part is missing"),
        *logged,
    ))  # fmt: skip


def _check_log(parts: Mapping[str, bytes], subject: str, log_key: str) -> Check:
    """Return whether the audit log holds the deposit of the first evidence of this very product."""
    try:
        proof = json.loads(parts[PROOF])
        report = verifier.check_proof(proof, verifier.parse_key(log_key), "the dossier's proof")
        entry = json.loads(proof["body"])["payload"]
        receipt, earlier = json.loads(parts["receipt.json"]), json.loads(parts["superseded.json"])
        first = str(earlier[0]["sha256"] if earlier else receipt["sha256"])
        about = (entry["tag"], entry["subject"]) == ("product:deposit", subject) and first in entry["content"].split()
    except KeyError:
        return Check("audit log", False, "there is no proof that can be read: it comes with the log's next checkpoint")
    except (verifier.BadInput, ValueError, TypeError, AttributeError, IndexError) as error:
        return Check("audit log", False, str(error) or "the proof cannot be read")
    faults = "; ".join(str(fault) for fault in report.faults)
    said = faults or (f"deposited at {entry['time']}" if about else "the proven entry is another")
    return Check("audit log", report.sound and about, said)


def _read(content: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if len(names) != len(set(names)) or sum(one.file_size for one in archive.infolist()) > MOST_BYTES:
                raise ValueError
            parts = {name: archive.read(name) for name in names}
        stated = json.loads(parts.pop(MANIFEST))
        if set(stated) != {"format", "subject", "parts", "signature"} or stated["format"] != FORMAT:
            raise ValueError
        if not isinstance(stated["parts"], dict):
            raise TypeError
    except (ValueError, TypeError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, RecursionError):
        raise Invalid(
            "this is no registration dossier", rule="dossier.form", accepted=f"a file of format {FORMAT}"
        ) from None
    return stated, parts


def _is_signed(key: bytes, signature: object, content: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(str(signature)), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _holds_evidence(registry: RegistryService, product: Product) -> bool:
    try:
        check_evidence(product, registry.file_path(product))
    except Invalid:
        return False
    return True


def _basic(product: Product, sheet: ProductSheet) -> dict[str, Any]:
    return {
        "id": product.id, "code": product.code, "title_zh": sheet.title_zh, "title_en": sheet.title_en,
        "form": product.kind.value, "form_zh": FORMS_ZH[product.kind], "holder": product.operator,
        "holder_zh": sheet.operator_zh, "authorization": product.authorization, "grant": product.grant,
        "entries": [{"code": one.code, "title_zh": one.title_zh, "provider_zh": one.provider_zh,
                     "fields": [field.name for field in one.fields]} for one in sheet.sources],
        "purposes": product.purposes, "registration": product.registration.value,
        "applied_at": msgspec.to_builtins(product.applied_at), "coded_at": msgspec.to_builtins(product.coded_at),
        "valid_until": msgspec.to_builtins(product.valid_until), "contact": sheet.contact,
    }  # fmt: skip


def _storage(product: Product, sheet: ProductSheet) -> dict[str, Any]:
    return {
        "output": {"sha256": product.evidence.output_sha256, "bytes": product.evidence.output_size,
                   "place": "product store of the platform, read by its serving processes alone"},
        "index": {"version": product.index_version, "subjects": product.index_subjects,
                  "place": "product store; keyed hashes only"} if product.index_version else None,
        "data": [{"entry": one.code, "place": "raw zone of the platform; never leaves it",
                  "updated_at": msgspec.to_builtins(one.quality.updated_at) if one.quality else None}
                 for one in sheet.sources],
    }  # fmt: skip


def _describe(product: Product, sheet: ProductSheet) -> str:
    said = product.application.description if product.application else ""
    lines = [f"# {sheet.title_zh}", "", sheet.answers, ""]
    if said:
        lines += [said, ""]
    lines += [f"- 更新：{sheet.refresh}", f"- 使用限制：{sheet.limits}", f"- 用途：{'、'.join(sheet.purposes)}"]
    for one in sheet.sources:
        lines += ["", f"## {one.title_zh}（{one.code}，{one.provider_zh}）", ""]
        lines += [f"- `{field.name}` {field.title_zh}（{field.type}）" for field in one.fields]
    return "\n".join(lines) + "\n"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=2, default=str).encode() + b"\n"
