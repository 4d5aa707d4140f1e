"""How what hangs on an authorization is stopped and destroyed, by the verbs of the rooms that hold it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from products.consumers.service import KeyService
from products.registry.model import PRODUCT
from products.registry.service import RegistryService
from sandbox.workspaces.model import WORKSPACE, WorkspaceState
from sandbox.workspaces.service import WorkspaceService
from shuzha.core.actor import platform_actor
from shuzha.core.keys import KeyRing
from shuzha.core.work import OUTBOX, Database, Work
from shuzha.exits.looking import SERVED, Holdings, Places, find_holdings
from shuzha.exits.model import Destroyed
from shuzha.releases.model import RELEASE, ReleaseState
from shuzha.releases.service import ReleaseService


@dataclass(frozen=True, slots=True)
class Ending:
    """Stops and destroys; both bear a repeat, and `find_left` says what a destruction has not reached yet."""

    database: Database
    keys: KeyRing
    releases: ReleaseService
    workspaces: WorkspaceService
    registry: RegistryService
    consumers: KeyService
    places: Places

    def stop(self, authorization: str, reason: str) -> None:
        """Suspend the products and keys of an authorization; its grants, workspaces and exports stopped with it."""
        actor = platform_actor("exit")
        held = self._held(authorization)
        for key in held.keys:
            if key.state.value == "active":
                self.consumers.suspend_key(actor, key.id, reason)
        for product in held.products:
            if product.state in SERVED:
                self.registry.suspend(actor, product.id, reason)

    def destroy(self, authorization: str, reason: str) -> None:
        """Revoke keys, delist products, and destroy homes, releases, indexes and the keys of every scenario."""
        actor = platform_actor("exit")
        held = self._held(authorization)
        for key in held.open_keys():
            self.consumers.revoke_key(actor, key.id, reason)
        for product in held.products:
            if PRODUCT.can(product.state, "delist"):
                self.registry.delist(actor, product.id, reason)
            shutil.rmtree(self.places.index(product), ignore_errors=True)
        for workspace in held.workspaces:
            if WORKSPACE.can(workspace.state, "close"):
                self.workspaces.close_workspace(actor, workspace.id, reason)
        for release in held.releases:
            if RELEASE.can(release.state, "destroy"):
                self.releases.destroy(actor, release.id, reason)
            elif release.state is ReleaseState.DESTROYED:
                self.releases.run_destroy(release.id)
        for grant in held.grants:
            self.keys.destroy_scenario_key(authorization, grant.demand)

    def find_left(self, work: Work, authorization: str) -> tuple[str, ...]:
        """Return what is not gone, by id or by the name of its folder; nothing where all of it is."""
        held = find_holdings(work, authorization)
        left = [one.id for one in held.workspaces if one.state is not WorkspaceState.CLOSED]
        left += [one.id for one in held.releases if one.state is not ReleaseState.DESTROYED and one.sha256]
        left += [one.id for one in held.open_keys()]
        left += [f"key of {one.demand}" for one in held.grants if self.keys.has_scenario_key(authorization, one.demand)]
        left += [path.name for path in self.places.find_left(held)]
        return tuple(left)

    def describe(self, work: Work, authorization: str, act: str) -> tuple[Destroyed, ...]:
        """Return each thing that is gone, with its act; `act`, the event of having looked, where it has none."""
        held = find_holdings(work, authorization)
        found = [
            Destroyed("release", one.id, "files removed", _event(work, "release:destroy", one.id) or act, one.sha256)
            for one in held.releases
        ]
        found += [
            Destroyed("home", one.id, "home and own files removed", _event(work, "workspace:destroy", one.id) or act)
            for one in held.workspaces
        ]
        found += [Destroyed("scenario key", one.demand, "salt overwritten and removed", act) for one in held.grants]
        found += [
            Destroyed("index", one.id, "index files removed", _event(work, "product:delist", one.id) or act)
            for one in held.products
        ]
        found += [
            Destroyed("consumer key", one.id, "revoked", _event(work, "key:revoke", one.id) or act) for one in held.keys
        ]
        return tuple(found)

    def _held(self, authorization: str) -> Holdings:
        with self.database.read() as work:
            return find_holdings(work, authorization)


def _event(work: Work, tag: str, subject: str) -> str | None:
    statement = OUTBOX.select().where(OUTBOX.c.tag == tag, OUTBOX.c.subject == subject)
    row = work.connection.execute(statement.order_by(OUTBOX.c.sequence.desc()).limit(1)).mappings().first()
    return None if row is None else str(row["id"])
