"""The register of data resources (W25 art. 23): catalogue entries, registered by their provider or the authority.

The verbs from the application on are those of every registration; here is what only a resource has.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from policies import Context, Policies, Resource
from products.registry.case_model import Case
from products.registry.codes import make_resource_code
from products.registry.letters import Facts
from products.registry.model import Evidence, Lineage
from products.registry.objecting import Objecting
from products.registry.outputs import digest_of, write_file
from products.registry.receipts import canonical, write_receipt
from products.registry.registering import Book, name_of
from products.registry.registration import BEFORE_CODE, REGISTERED
from products.registry.resource_model import (
    DUTY_RULE,
    RESOURCE,
    Access,
    DataResource,
    Duty,
    ResourceSheet,
    check_resource_sheet,
)  # fmt: skip
from products.registry.service import RegistrySettings
from products.registry.store import RESOURCES, next_sequence
from shuzha.authorization.store import GRANTS
from shuzha.catalog.model import BatchState, Entry, EntryState
from shuzha.catalog.store import BATCHES, ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict, Invalid, NotAllowed
from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.work import Database, Work

PUBLISHED = frozenset({EntryState.PUBLISHED, EntryState.CHANGE_PENDING})
LIVING = frozenset({*BEFORE_CODE, *REGISTERED})


class ResourceService(Objecting[DataResource]):
    """The register of data resources."""

    def __init__(
        self, database: Database, policies: Policies, lawbook: LawBook, settings: RegistrySettings, keys: KeyRing
    ) -> None:
        super().__init__(Book(RESOURCES, RESOURCE), database, policies, lawbook, keys)
        self._settings = settings

    def deposit(self, actor: Actor, entry_id: str, sheet: ResourceSheet, access: Access) -> DataResource:
        """Return a new resource whose evidence is deposited: the published entry's description, and its newest batch.

        Refuses an entry that is not published, another organisation's, and one that is registered already.
        """
        check_resource_sheet(sheet)
        with self._database.work(actor) as work:
            entry = work.get(ENTRIES, entry_id)
            seen = Resource("resource", "", entry.provider, actor.id)
            self._policies.check(actor, "resource:deposit", seen, Context(at=work.now()))
            for one in work.list(RESOURCES, entry=entry.id):
                if one.registration in LIVING:
                    raise Conflict(
                        f"entry {entry.id} is resource {one.id} already", rule="resource.entry",
                        accepted="a change of that one",
                    )  # fmt: skip
            _check_registrable(entry)
            evidence, content = describe(work, entry)
            made = DataResource(
                new_id("res"), entry.id, entry.version, entry.provider, actor.id, access, sheet, evidence, work.now()
            )
            work.add(RESOURCES, made)
            self._keep(made, content)
            self._tell(
                work,
                made,
                "deposit",
                f"evidence {evidence.sha256} deposited",
                {"evidence": evidence.sha256, "entry": entry.id},
            )
        return made

    def resource(self, record: DataResource) -> Resource:
        """Return the record as the policy layer sees it."""
        return Resource("resource", record.id, record.provider, record.author)

    def facts(self, work: Work, record: DataResource) -> Facts:
        """Return what the letters say of the resource, read from the live records."""
        entry = work.get(ENTRIES, record.entry)
        source = f"{entry.title.zh}（目录代码 {entry.code}，第 {record.entry_version} 版）"
        return Facts(
            record.id, record.sheet.title_zh, "公共数据资源", name_of(work, record.provider), (source,),
            record.sheet.summary, record.evidence.sha256,
        )  # fmt: skip

    def check_sheet(self, sheet: Any) -> None:
        """Refuse a sheet that leaves a reader without an answer."""
        check_resource_sheet(sheet)

    def read_receipt(self, actor: Actor, resource_id: str) -> bytes:
        """Return the signed receipt of the resource's evidence, which anybody verifies offline."""
        record = self.get(actor, resource_id)
        return write_receipt(self._keys, record.id, record.provider, record.evidence)

    def read_description(self, actor: Actor, resource_id: str) -> bytes:
        """Return the description that was deposited, byte for byte."""
        return self._path(self.get(actor, resource_id)).read_bytes()

    def list_duties(self, actor: Actor) -> tuple[Duty, ...]:
        """Return the entries in authorized scope that wait for their registration, the actor's own or all of them."""
        with self._database.read() as work:
            at = Context(at=work.now())
            registered = {one.entry for one in work.list(RESOURCES) if one.registration in LIVING}
            first: dict[str, Any] = {}
            for grant in work.list(GRANTS):
                if grant.entry not in registered:
                    first.setdefault(grant.entry, grant.scope.valid_from)
            found = []
            for entry_id, since in first.items():
                entry = work.find(ENTRIES, entry_id)
                mine = Resource("resource", "", entry.provider if entry else "", actor.id)
                if entry is None or not self._policies.can(actor, "resource:deposit", mine, at):
                    continue
                due = self._lawbook.due(DUTY_RULE, since)
                found.append(Duty(
                    entry.id, entry.provider, entry.title.zh, entry.title.en, due.date if due else None,
                    bool(due and due.provisional),
                ))  # fmt: skip
        return tuple(found)

    def stage(self, actor: Actor, record: DataResource, case_id: str, export: str, file: str, anew: bool) -> (
        Evidence | None
    ):  # fmt: skip
        """Return the evidence of the entry as it is now, where a change asks for it and it is another."""
        super().stage(actor, record, case_id, export, file, anew=anew)
        if not anew:
            return None
        with self._database.read() as work:
            entry = work.get(ENTRIES, self._get(work, actor, record.id).entry)
            _check_registrable(entry)
            evidence, content = describe(work, entry)
        if evidence.output_sha256 == record.evidence.output_sha256:
            return None
        write_file(self._path(record).with_name(f"{case_id}.json"), content)
        return evidence

    def _served_anew(self, work: Work, record: DataResource, case: Case) -> DataResource:
        if case.evidence is None:
            return record
        content = self._path(record).with_name(f"{case.id}.json").read_bytes()
        entry_version = int(msgspec.json.decode(content)["version"])
        changed = replace(
            record, evidence=case.evidence, superseded=(*record.superseded, record.evidence),
            entry_version=entry_version,
        )  # fmt: skip
        saved = work.save(RESOURCES, changed)
        self._keep(saved, content)
        return saved

    def _make_code(self, work: Work, record: DataResource) -> str:
        sequence = next_sequence(work, RESOURCES)
        return make_resource_code(self._settings.city_code, self._settings.industry, sequence)

    def _check_sound(self, work: Work, record: DataResource) -> None:
        """Refuse a resource whose entry is not published any more, was changed since, or whose evidence is broken."""
        entry = work.get(ENTRIES, record.entry)
        _check_registrable(entry)
        if entry.version != record.entry_version:
            raise Invalid(
                f"entry {entry.id} is at version {entry.version}, resource {record.id} deposited version "
                f"{record.entry_version}", rule="resource.evidence (W25 art. 25)",
                accepted="its evidence deposited anew",
            )  # fmt: skip
        path = self._path(record)
        held = path.read_bytes() if path.is_file() else b""
        whole = record.evidence.computed_sha256() == record.evidence.sha256
        if not whole or digest_of(held) != record.evidence.output_sha256:
            raise Invalid(
                f"the evidence of resource {record.id} does not hold", rule="resource.evidence (W25 art. 25)",
                accepted="the description that was deposited",
            )  # fmt: skip

    def amend(self, actor: Actor, record_id: str, sheet: Any) -> DataResource:
        """Return the resource with another sheet, and its evidence deposited anew from the entry as it is now."""
        with self._database.work(actor) as work:
            record = self._take(work, actor, record_id, "amend")
            self.check_sheet(sheet)
            entry = work.get(ENTRIES, record.entry)
            _check_registrable(entry)
            evidence, content = describe(work, entry)
            changes = {"sheet": sheet, "evidence": evidence, "entry_version": entry.version}
            saved = self._move(
                work, record, "amend", "sheet amended, evidence deposited anew", changes,
                data={"evidence": evidence.sha256},
            )  # fmt: skip
            self._keep(saved, content)
        return saved

    def _path(self, record: DataResource) -> Path:
        return self._settings.folder / "resources" / record.id / "description.json"

    def _keep(self, record: DataResource, content: bytes) -> None:
        write_file(self._path(record), content)


def describe(work: Work, entry: Entry) -> tuple[Evidence, bytes]:
    """Return the evidence of an entry as of now, and its description as the canonical JSON that it is of."""
    newest = None
    for batch in work.list(BATCHES, entry=entry.id, state=BatchState.INGESTED.value):
        newest = batch.receipt or newest
    content = canonical({
        "entry": entry.id, "code": entry.code, "version": entry.version, "provider": entry.provider,
        "sheet": msgspec.to_builtins(entry.sheet), "grade": entry.grade,
    })  # fmt: skip
    lineage = Lineage("", "", "", (), "", "", "", entry.id)
    receipt = newest.sha256 if newest is not None else ""
    evidence = Evidence(digest_of(content), len(content), receipt, lineage, work.now())
    return replace(evidence, sha256=evidence.computed_sha256()), content


def _check_registrable(entry: Entry) -> None:
    if entry.sheet.secret or entry.sheet.endangers_safety:
        raise NotAllowed(f"entry {entry.id} can never be registered", rule="J23 art. 8")
    if entry.state not in PUBLISHED:
        raise Invalid(f"entry {entry.id} is {entry.state.value}", rule="resource.entry", accepted="a published entry")
