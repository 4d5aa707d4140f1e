"""What anybody may read without signing in: entries, authorizations in force, products with prices, notices.

The National Data Administration asks implementing bodies to publish authorizations, resources, products and prices.
Nothing here asks who reads; so nothing here is more than what is public.
"""

from __future__ import annotations

from dataclasses import dataclass

from products.registry.model import Product, ProductState, Registration
from products.registry.store import PRODUCTS
from shuzha.authorization.model import Authorization, AuthorizationState
from shuzha.authorization.store import AUTHORIZATIONS
from shuzha.catalog.model import PUBLIC, Entry
from shuzha.catalog.store import ENTRIES
from shuzha.core.work import Database

ON_SALE = frozenset({ProductState.LISTED, ProductState.IN_SERVICE, ProductState.SUSPENDED})
_SHOWN = frozenset({AuthorizationState.ACTIVE, AuthorizationState.SUSPENDED})


@dataclass(frozen=True, slots=True)
class PublicFacts:
    """What is held, authorized, sold and on notice."""

    entries: tuple[Entry, ...]
    authorizations: tuple[Authorization, ...]
    products: tuple[Product, ...]
    notices: tuple[Product, ...]


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
        return PublicFacts(
            tuple(entries), tuple(found), tuple(one for one in products if one.state in ON_SALE),
            tuple(one for one in products if one.registration is Registration.PUBLIC_NOTICE),
        )  # fmt: skip
