"""What the consumer API knows in memory: the products, their open indexes and the keys, and how news reaches it.

Everything is loaded at the start and then one thing at a time, as the outbox tells. A process that has not heard from
the database for some seconds does not know what was suspended meanwhile, so it answers nothing (`fresh`).
"""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policies import Policies, Resource
from products.consumers.app_model import App, AppState
from products.consumers.model import ApiKey, digest_of, is_secret
from products.consumers.store import APPS, KEYS
from products.defence.guard import Defence
from products.registry.codes import ProductKind
from products.registry.model import Product, ProductState
from products.registry.service import product_resource, read_verification
from products.registry.store import PRODUCTS
from products.serving import snapshot
from products.serving.places import KEY_PURPOSE, index_folder
from products.serving.snapshot import Snapshot
from shuzha.catalog.model import SubjectKind
from shuzha.catalog.store import ENTRIES
from shuzha.core.actor import Actor
from shuzha.core.errors import ShuzhaError
from shuzha.core.keys import KeyRing
from shuzha.core.outbox import POLL_SECONDS, Follower
from shuzha.core.work import Database, Event

STALE_SECONDS = 5.0
_BEARER = "bearer "
_MAX_AUTHORIZATION = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """A product as it is served: its resource for decisions and, for a verification, its fields, claims and index.

    `personal`: its subjects are persons, or nobody says that they are not; a question then names a consent.
    """

    product: Product
    resource: Resource
    columns: frozenset[str]
    subject: tuple[str, ...] = ()
    claims: Mapping[str, int] = field(default_factory=dict)
    key: bytes = b""
    index: Snapshot | None = None
    personal: bool = True


@dataclass(frozen=True, slots=True)
class Caller:
    """A key as it is served, with the actor that it acts as and its app.

    `guarded` says that more is to be asked than the key's state: an end, networks, an app that opens nothing.
    """

    key: ApiKey
    actor: Actor
    app: App | None = None
    guarded: bool = False
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    def comes_from(self, address: str) -> bool:
        """Return whether the key is for calls from this address; one that cannot be read is from nowhere."""
        if not self.networks:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.networks)


class ServingState:
    """Products by code, keys by digest; read by the event loop, written by the thread that follows the outbox."""

    def __init__(
        self,
        database: Database,
        policies: Policies,
        keys: KeyRing,
        folder: Path,
        forget_ids: Callable[[Event], tuple[str, ...]],
    ) -> None:
        self.offers: dict[str, Offer] = {}
        self.callers: dict[str, Caller] = {}
        self._apps: dict[str, App] = {}
        self.database = self._database = database
        self._policies = policies
        self._keys = keys
        self._folder = folder
        self._forget_ids = forget_ids
        self.defence = Defence(database, policies, folder.parent / "run" / "asks")
        # The follower takes its place before anything is loaded, so that nothing falls between the two.
        self._follower = Follower(
            database,
            {
                "product:*": [self._product_changed],
                "key:*": [self._key_changed],
                "app:*": [self._app_changed],
                "authorization:*": [self._right_changed],
                "grant:*": [self._right_changed],
                "entry:*": [self._right_changed],
                **self.defence.handlers(),
            },
        )
        self._heard = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="serving-state", daemon=True)
        self._load()

    @property
    def fresh(self) -> bool:
        """Whether the newest events are known: False when the database has been silent for some seconds."""
        return time.monotonic() - self._heard < STALE_SECONDS

    def find_caller(self, authorization: str) -> Caller | None:
        """Return whose key an Authorization field has; None for no key, another form, or an unknown one."""
        if authorization[:7].lower() != _BEARER or len(authorization) >= _MAX_AUTHORIZATION:
            return None
        secret = authorization[7:]
        return self.callers.get(digest_of(secret)) if is_secret(secret) else None

    def start(self) -> None:
        """Follow the outbox until `stop`."""
        self._heard = time.monotonic()
        self._thread.start()
        self.defence.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self.defence.stop()

    def step(self) -> None:
        """Hear the news once; `start` does it ten times a second."""
        while self._follower.step():
            pass
        self._heard = time.monotonic()

    def _follow(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.step()
            except Exception:  # The boundary of this thread: logged, tried again, and `fresh` turns False meanwhile.
                log.exception("the consumer API cannot hear the outbox; trying again")

    def _load(self) -> None:
        self.defence.load()
        with self._database.read() as work:
            products, keys, apps = work.list(PRODUCTS), work.list(KEYS), work.list(APPS)
        self._apps = {app.id: app for app in apps}
        for product in products:
            self._put_product(product)
        for key in keys:
            self._put_key(key)

    def _product_changed(self, event: Event) -> None:
        with self._database.read() as work:
            product = work.find(PRODUCTS, event.subject)
        if product is not None:
            self._put_product(product)

    def _key_changed(self, event: Event) -> None:
        with self._database.read() as work:
            key = work.find(KEYS, event.subject)
        if key is not None:
            self._put_key(key)

    def _app_changed(self, event: Event) -> None:
        with self._database.read() as work:
            app = work.find(APPS, event.subject)
        if app is not None:
            self._apps[app.id] = app
            for caller in [one for one in self.callers.values() if one.key.app == app.id]:
                self._put_key(caller.key)

    def _right_changed(self, event: Event) -> None:
        for identifier in self._forget_ids(event):
            self._policies.forget(identifier)

    def _put_product(self, product: Product) -> None:
        if product.code is not None and product.state is not ProductState.DESIGNED:
            before = self.offers.get(product.code)
            self.offers[product.code] = self._offer(product, before)

    def _put_key(self, key: ApiKey) -> None:
        actor = Actor(key.id, key.name, key.organisation, frozenset({"consumer"}), "api")
        app = self._apps.get(key.app)
        opens = app is None or app.state is AppState.ACTIVE
        networks = tuple(ipaddress.ip_network(each) for each in key.networks)
        guarded = bool(networks) or key.expires_at is not None or not opens
        self.callers[key.digest] = Caller(key, actor, app, guarded, networks)

    def _offer(self, product: Product, before: Offer | None) -> Offer:
        resource, columns = product_resource(product), frozenset(product.columns)
        if product.kind is not ProductKind.VERIFICATION:
            return Offer(product, resource, columns)
        specification = read_verification(product.specification)
        claims = {claim.name: 1 << place for place, claim in enumerate(specification.claims)}
        secret = self._keys.derive(KEY_PURPOSE, product.id)
        index = before.index if before is not None else None
        if product.index_version and (index is None or index.manifest.version != product.index_version):
            index = self._open(product, index)
        return Offer(
            product, resource, columns, tuple(specification.subject), claims, secret, index, self._is_personal(product)
        )

    def _is_personal(self, product: Product) -> bool:
        with self._database.read() as work:
            entry = work.find(ENTRIES, product.entry)
        return entry is None or entry.subject_kind is not SubjectKind.ORGANISATION

    def _open(self, product: Product, before: Snapshot | None) -> Snapshot | None:
        # The older file is let go by the garbage collector, once the last call that holds it has ended.
        try:
            return snapshot.open_current(index_folder(self._folder, product.id), before=before)
        except (ShuzhaError, OSError) as error:
            log.error("the index of %s cannot be opened: %s", product.id, error)
            return before
