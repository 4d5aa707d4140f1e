"""What of an authorization still moves, and what of it is left: looked up in the records and on the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from products.consumers.model import KEY, ApiKey, KeyState
from products.consumers.store import KEYS
from products.registry.model import Product, ProductState
from products.registry.store import PRODUCTS
from sandbox.airlock.model import HOLDABLE, ExportRequest
from sandbox.airlock.store import EXPORTS
from sandbox.workspaces.model import Workspace, WorkspaceState
from sandbox.workspaces.store import WORKSPACES
from shuzha.authorization.model import Grant, GrantState
from shuzha.authorization.store import GRANTS
from shuzha.core.work import Work
from shuzha.releases.model import Release
from shuzha.releases.store import RELEASES

SERVED = frozenset({ProductState.LISTED, ProductState.IN_SERVICE})
STILL = frozenset({WorkspaceState.SUSPENDED, WorkspaceState.CLOSED})


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything that hangs on one authorization, as the records say now."""

    grants: tuple[Grant, ...]
    workspaces: tuple[Workspace, ...]
    exports: tuple[ExportRequest, ...]
    releases: tuple[Release, ...]
    products: tuple[Product, ...]
    keys: tuple[ApiKey, ...]

    def moving(self) -> tuple[str, ...]:
        """Return the ids of what still moves: a freeze is complete when there is none."""
        found = [one.id for one in self.grants if one.state is not GrantState.CLOSED]
        found += [one.id for one in self.workspaces if one.state not in STILL]
        found += [one.id for one in self.exports if one.state in HOLDABLE]
        found += [one.id for one in self.products if one.state in SERVED]
        found += [one.id for one in self.keys if one.state is KeyState.ACTIVE]
        return tuple(found)

    def open_keys(self) -> tuple[ApiKey, ...]:
        """Return the keys that are not revoked."""
        return tuple(one for one in self.keys if KEY.can(one.state, "revoke"))


def find_holdings(work: Work, authorization: str) -> Holdings:
    """Return what hangs on an authorization."""
    products = work.list(PRODUCTS, authorization=authorization)
    return Holdings(
        grants=work.list(GRANTS, authorization=authorization),
        workspaces=work.list(WORKSPACES, authorization=authorization),
        exports=work.list(EXPORTS, authorization=authorization),
        releases=work.list(RELEASES, authorization=authorization),
        products=products,
        keys=tuple(key for product in products for key in work.list(KEYS, product=product.id)),
    )


@dataclass(frozen=True, slots=True)
class Places:
    """Where things would lie if they were still there."""

    release: Callable[[Release], Path]
    index: Callable[[Product], Path]
    home: Callable[[Workspace], tuple[Path, ...]]
    own: Callable[[Workspace], Path]

    def find_left(self, held: Holdings) -> tuple[Path, ...]:
        """Return what is still on the disk of all that should be gone."""
        found = [self.release(one) for one in held.releases]
        found += [self.index(one) for one in held.products]
        found += [path for one in held.workspaces for path in (*self.home(one), self.own(one))]
        return tuple(path for path in found if path.exists())
