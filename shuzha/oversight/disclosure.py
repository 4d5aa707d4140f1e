"""What anybody may read without signing in: entries, authorizations in force, products with prices, notices.

The National Data Administration asks implementing bodies to publish authorizations, resources, products and prices.
Nothing here asks who reads; so nothing here is more than what is public.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from products.registry.model import Product, ProductState, Registration
from products.registry.resource_model import DataResource
from products.registry.store import PRODUCTS, RESOURCES
from shuzha.authorization.announcement import Announcement, AnnouncementState
from shuzha.authorization.holds import HOLDS
from shuzha.authorization.model import Authorization, AuthorizationState
from shuzha.authorization.store import ANNOUNCEMENTS, AUTHORIZATIONS
from shuzha.catalog.model import PUBLIC, Entry, Title
from shuzha.catalog.store import ENTRIES
from shuzha.core.errors import NotFound
from shuzha.core.work import Database, Work

ON_SALE = frozenset({ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED})
_ON_NOTICE = frozenset({Registration.PUBLIC_NOTICE, Registration.HELD})
_A = AuthorizationState
_SHOWN = frozenset({_A.ACTIVE, _A.SUSPENDED})
_NOTICED = frozenset({_A.PUBLICIZED, _A.SIGNED})
_ENDED = frozenset({_A.EXPIRED, _A.TERMINATED, _A.WITHDRAWN})
_ANNOUNCED = frozenset({AnnouncementState.PUBLISHED, AnnouncementState.CLOSED})


@dataclass(frozen=True, slots=True)
class PublicFacts:
    """What is held, authorized, sold and on notice; `held` names authorizations that may not be used now."""

    entries: tuple[Entry, ...]
    authorizations: tuple[Authorization, ...]
    products: tuple[Product, ...]
    notices: tuple[Product | DataResource, ...]
    held: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PublicAuthorizations:
    """Whom the city authorizes (W25 art. 20): what is announced, on notice, in force, and over; and entries' titles.

    An authorization that ended before it was made public is in none of them.
    """

    announcements: tuple[Announcement, ...]
    noticed: tuple[Authorization, ...]
    in_force: tuple[Authorization, ...]
    ended: tuple[Authorization, ...]
    titles: Mapping[str, Title]
    held: frozenset[str] = frozenset()

    def find(self, authorization_id: str) -> Authorization:
        """Return one of them; raises NotFound for one that is not public."""
        for one in (*self.noticed, *self.in_force, *self.ended):
            if one.id == authorization_id:
                return one
        raise NotFound("no public authorization has this id")


class Disclosure:
    """The public's view of one installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> PublicFacts:
        """Return what is public now, newest first."""
        with self._database.read() as work:
            entries = [one for one in work.list(ENTRIES, newest_first=True) if one.state in PUBLIC]
            found = [one for one in work.list(AUTHORIZATIONS, newest_first=True) if one.state in _SHOWN]
            products = work.list(PRODUCTS, newest_first=True)
            registering: tuple[Product | DataResource, ...] = (*products, *work.list(RESOURCES, newest_first=True))
            held = _held(work)
        return PublicFacts(
            tuple(entries), tuple(found), tuple(one for one in products if one.state in ON_SALE),
            tuple(one for one in registering if one.registration in _ON_NOTICE), held,
        )  # fmt: skip

    def list_resources(self) -> tuple[DataResource, ...]:
        """Return the data resources whose registration is in force, newest first."""
        with self._database.read() as work:
            return work.list(RESOURCES, newest_first=True, registration=Registration.VALID.value)

    def read_authorizations(self) -> PublicAuthorizations:
        """Return what is public of authorizations now, newest first."""
        with self._database.read() as work:
            announced = [one for one in work.list(ANNOUNCEMENTS, newest_first=True) if one.state in _ANNOUNCED]
            found = [one for one in work.list(AUTHORIZATIONS, newest_first=True) if one.document]
            named = {entry for one in found for entry in one.agreement.entries}
            titles = {one.id: one.title for one in work.list(ENTRIES) if one.id in named}
            held = _held(work)

        def those(states: frozenset[AuthorizationState]) -> tuple[Authorization, ...]:
            return tuple(one for one in found if one.state in states)

        return PublicAuthorizations(tuple(announced), those(_NOTICED), those(_SHOWN), those(_ENDED), titles, held)


def _held(work: Work) -> frozenset[str]:
    return frozenset(one.subject for one in work.list(HOLDS) if one.lifted_at is None)
