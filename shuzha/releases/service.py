"""The verbs on releases: request, build, destroy; and what each may see."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from policies import Context, Policies, Resource
from shuzha.authorization.model import Grant
from shuzha.authorization.store import GRANTS
from shuzha.catalog.model import Entry
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.core.ids import new_id
from shuzha.core.keys import KeyRing
from shuzha.core.work import Database, Work, no_record
from shuzha.releases import certificate as paper
from shuzha.releases.build import ReleaseBuilder
from shuzha.releases.model import (
    RELEASE,
    STANDING,
    Release,
    ReleaseKind,
    ReleaseState,
    SyntheticOptions,
    check_options,
)
from shuzha.releases.store import RELEASES
from shuzha.releases.synthetic import Purse, loss_of, make_synthetic_plan


def release_resource(release: Release, organisation: str = "") -> Resource:
    """Return the release as decisions see it: the operating unit's, or the provider's where that is `organisation`."""
    owner = organisation or release.operator
    return Resource(
        "release", release.id, owner, release.requested_by, authorization=release.authorization, grant=release.grant
    )


class ReleaseService:
    """Releases of one installation. `run_build` and `run_destroy` are jobs: they take an id and bear a repeat."""

    def __init__(
        self, database: Database, policies: Policies, keys: KeyRing, builder: ReleaseBuilder, purse: Purse
    ) -> None:
        self._database = database
        self._policies = policies
        self._keys = keys
        self._builder = builder
        self._purse = purse

    def request_release(self, actor: Actor, grant_id: str, synthetic: SyntheticOptions | None = None) -> Release:
        """Return the release of a grant at the newest raw data: the standing one, or a new one that is to be built.

        With `synthetic` it is a synthetic one, which is paid for from the entry's privacy budget when it is built.
        Refuses a grant that is not in force, and an entry without raw data; of a synthetic one also a column whose
        values nobody said, and an epsilon that the budget does not hold.
        """
        with self._database.work(actor) as work:
            grant = work.get(GRANTS, grant_id)
            owned = Resource("release", organisation=grant.operator, authorization=grant.authorization, grant=grant.id)
            self._policies.check(actor, "release:request", owned, Context(at=work.now()))
            self._check_scope(actor, grant, work.now())
            entry = work.get(ENTRIES, grant.entry)
            if entry.raw_version is None:
                raise Invalid(
                    f"entry {entry.code} has no raw data yet", rule="release.raw", accepted="a batch that was ingested"
                )
            asked = None if synthetic is None else self._check_synthetic(work, grant, entry, synthetic)
            standing = _find_standing(work, grant.id, entry.raw_version, asked)
            if standing is None and asked is not None:
                self._purse.check(work, entry, grant.authorization, loss_of(asked))
            return standing or self._add(work, actor, grant, entry, entry.raw_version, asked)

    def list_unfinished(self) -> tuple[str, ...]:
        """Return the ids of the releases that are still to be built: what a worker takes up again when it starts."""
        with self._database.read() as work:
            return tuple(one.id for one in work.list(RELEASES, state=ReleaseState.BUILDING.value))

    def run_build(self, release_id: str) -> Release:
        """Build a release and return it ready; one that cannot be built is failed, with the reason, and returned so.

        Refuses nothing that is done already: it returns the release as it stands.
        """
        actor = platform_actor("release-build")
        with self._database.read() as work:
            release = work.get(RELEASES, release_id)
            if release.state is not ReleaseState.BUILDING:
                return release
            grant, entry, now = work.get(GRANTS, release.grant), work.get(ENTRIES, release.entry), work.now()
            earlier = tuple(
                one
                for one in work.list(RELEASES, demand=release.demand)
                if one.state is ReleaseState.READY and one.kind is ReleaseKind.ROWS
            )
        try:
            self._check_scope(actor, grant, now)
            folder = self._builder.build(release, grant, entry, now.isoformat(timespec="seconds"), earlier)
        except (Invalid, NotAllowed, NotFound) as error:
            return self._fail(actor, release, str(error))
        return self._finish(actor, release, folder)

    def destroy(self, actor: Actor, release_id: str, reason: str) -> Release:
        """Return the release destroyed: its files are gone, and the scenario's key with its last release."""
        with self._database.work(actor) as work:
            release = work.get(RELEASES, release_id)
            if not self._can_see(actor, release, work.now()):
                raise NotFound(no_record(RELEASES, release_id))
            self._policies.check(actor, "release:destroy", release_resource(release), Context(at=work.now()))
            move = RELEASE.next(release.state, "destroy", release.id)
            if not reason.strip():
                raise Invalid(
                    "a decision without a reason", rule="decision.reason", accepted="a sentence that says why"
                )
            release = work.save(RELEASES, replace(release, state=move.target, reason=reason))
            last = not any(
                other.state in STANDING
                for other in work.list(RELEASES, demand=release.demand)
                if other.id != release.id
            )
            data = _data(release, reason) | {"sha256": release.sha256, "key_destroyed": last}
            work.emit("release:destroy", release.id, "release destroyed", data=data, approver=actor.id, medium="file")
        self.run_destroy(release.id)
        return release

    def destroy_all(self, actor: Actor, grant_id: str, reason: str) -> tuple[Release, ...]:
        """Destroy every standing release of a grant and return them: what follows the close of a grant."""
        with self._database.read() as work:
            found = work.list(RELEASES, grant=grant_id)
        return tuple(self.destroy(actor, one.id, reason) for one in found if RELEASE.can(one.state, "destroy"))

    def run_destroy(self, release_id: str) -> None:
        """Remove what is left of a destroyed release, files and key; a job that bears a repeat.

        Refuses a release that nobody decided to destroy.
        """
        with self._database.read() as work:
            release = work.get(RELEASES, release_id)
            siblings = work.list(RELEASES, demand=release.demand)
        if release.state is not ReleaseState.DESTROYED:
            raise Invalid(f"release {release.id} is {release.state}, not destroyed", rule="release.destroy")
        self._builder.remove(release)
        if not any(one.state in STANDING for one in siblings):
            self._keys.destroy_scenario_key(release.authorization, release.demand)

    def path(self, release: Release) -> Path:
        """Return the folder of a release's files: read-only, and reached by whoever can name it."""
        return self._builder.path(release)

    @property
    def public_key(self) -> bytes:
        """The raw Ed25519 key that certificates are checked with."""
        return self._builder.public_key

    def verify(self, actor: Actor, release_id: str) -> tuple[str, ...]:
        """Return what is wrong with a ready release's certificate or files; nothing where all of it holds."""
        release = self.get_release(actor, release_id)
        if release.state is not ReleaseState.READY:
            return (f"the release is {release.state}",)
        if not paper.verify_certificate(release.certificate.encode(), release.signature, self._builder.public_key):
            return ("the signature of the certificate does not hold",)
        folder = self.path(release)
        found = paper.verify_release(folder, self._builder.public_key)
        if not found and (folder / paper.CERTIFICATE_FILE).read_bytes() != release.certificate.encode():
            return ("the certificate on disk is not the one in the records",)
        return found

    def get_release(self, actor: Actor, release_id: str) -> Release:
        """Return one release; raises NotFound for one that the actor may not see."""
        with self._database.read() as work:
            release = work.get(RELEASES, release_id)
            now = work.now()
        if not self._can_see(actor, release, now):
            raise NotFound(f"no releases with id {release_id}")
        return release

    def list_releases(
        self, actor: Actor, *, grant: str | None = None, demand: str | None = None
    ) -> tuple[Release, ...]:
        """Return the releases that the actor may see, newest first."""
        equal = {key: value for key, value in (("grant", grant), ("demand", demand)) if value is not None}
        with self._database.read() as work:
            now = work.now()
            found = work.list(RELEASES, newest_first=True, **equal)
        return tuple(release for release in found if self._can_see(actor, release, now))

    def _check_scope(self, actor: Actor, grant: Grant, at: dt.datetime) -> None:
        resource = Resource("release", organisation=grant.operator, authorization=grant.authorization, grant=grant.id)
        asked = Context(at=at, entry=grant.entry, columns=grant.scope.columns)
        self._policies.check(actor, "data:release", resource, asked)

    def _check_synthetic(self, work: Work, grant: Grant, entry: Entry, asked: SyntheticOptions) -> SyntheticOptions:
        """Return the options with the delta of the entry's budget, once a plan without a fault follows from them."""
        check_options(asked)
        options = replace(asked, delta=self._purse.find_delta(work, entry))
        loss_of(options)
        make_synthetic_plan(entry, grant, options)
        return options

    def _can_see(self, actor: Actor, release: Release, at: dt.datetime) -> bool:
        views = (release_resource(release), release_resource(release, release.provider))
        return any(self._policies.can(actor, "release:view", view, Context(at=at)) for view in views)

    def _add(
        self, work: Work, actor: Actor, grant: Grant, entry: Entry, raw_version: int, synthetic: SyntheticOptions | None
    ) -> Release:
        release_id, kind = new_id("rel"), ReleaseKind.ROWS if synthetic is None else ReleaseKind.SYNTHETIC
        release = Release(
            id=release_id, name=name_of(entry, kind), grant=grant.id, demand=grant.demand,
            authorization=grant.authorization,
            operator=grant.operator, provider=grant.provider, entry=entry.id, entry_version=entry.version,
            scope_version=grant.scope.version, raw_version=raw_version, requested_by=actor.id, requested_at=work.now(),
            state=RELEASE.initial, folder=release_id, kind=kind, synthetic=synthetic,
        )  # fmt: skip
        work.add(RELEASES, release)
        work.emit("release:request", release.id, f"release of entry {entry.code} requested", data=_data(release))
        return release

    def _finish(self, actor: Actor, release: Release, folder: Path) -> Release:
        certificate = (folder / paper.CERTIFICATE_FILE).read_bytes()
        known = json.loads(certificate)
        with self._database.work(actor) as work:
            standing = work.get(RELEASES, release.id)
            if standing.state is ReleaseState.BUILDING:
                self._policies.check(actor, "release:build", release_resource(standing), Context(at=work.now()))
                move = RELEASE.next(standing.state, "build", standing.id)
                output = known["desensitization"]["output"]
                standing = work.save(
                    RELEASES,
                    replace(
                        standing, state=move.target, ready_at=work.now(), rows=output["rows"],
                        columns=tuple(column["name"] for column in output["columns"]),
                        plan_toml=(folder / paper.PLAN_FILE).read_text("utf-8"), certificate=certificate.decode(),
                        signature=(folder / paper.SIGNATURE_FILE).read_text("ascii").strip(),
                        sha256=known["files"][paper.DATA_FILE]["sha256"],
                    ),
                )  # fmt: skip
                data = _data(standing) | {"sha256": standing.sha256, "rows": standing.rows}
                work.emit("release:ready", standing.id, "release ready", data=data, medium="file")
        if standing.state is ReleaseState.DESTROYED:
            self.run_destroy(standing.id)
        return standing

    def _fail(self, actor: Actor, release: Release, reason: str) -> Release:
        with self._database.work(actor) as work:
            standing = work.get(RELEASES, release.id)
            if not RELEASE.can(standing.state, "fail"):
                return standing
            self._policies.check(actor, "release:fail", release_resource(standing), Context(at=work.now()))
            move = RELEASE.next(standing.state, "fail", standing.id)
            standing = work.save(RELEASES, replace(standing, state=move.target, reason=reason))
            work.emit("release:fail", standing.id, "release could not be built", data=_data(standing, reason))
        return standing


def name_of(entry: Entry, kind: ReleaseKind) -> str:
    """Return what notebooks call a release: a workspace may have one of each kind."""
    return entry.name if kind is ReleaseKind.ROWS else f"{entry.name}_{kind.value}"


def _find_standing(work: Work, grant_id: str, raw_version: int, synthetic: SyntheticOptions | None) -> Release | None:
    for release in work.list(RELEASES, grant=grant_id, raw_version=raw_version):
        if release.state in STANDING and release.synthetic == synthetic:
            return release
    return None


def _data(release: Release, reason: str = "") -> dict[str, Any]:
    return {
        "release": release.id, "grant": release.grant, "demand": release.demand, "authorization": release.authorization,
        "entry": release.entry, "operator": release.operator, "raw_version": release.raw_version, "reason": reason,
        "kind": release.kind.value,
    }  # fmt: skip
