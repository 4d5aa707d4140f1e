"""The composition root: every room built once from the settings, each given what it needs and nothing global."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from policies import Policies
from shuzha.authorization.service import AuthorizationService, GrantScopes
from shuzha.catalog.aggregation import Aggregation
from shuzha.catalog.lake import RawZone
from shuzha.catalog.service import CatalogService
from shuzha.core.clock import Clock
from shuzha.core.jobs import Jobs
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.settings import Settings
from shuzha.core.work import Database
from shuzha.people.oidc import Provider, make_client
from shuzha.people.service import People
from shuzha.releases.build import ReleaseBuilder
from shuzha.releases.model import RiskPolicy
from shuzha.releases.service import ReleaseService

HUB_CLIENT = "jupyterhub"


@dataclass
class Platform:
    """One process's rooms. Each is built when it is first asked for, so a process pays for what it uses."""

    settings: Settings

    @cached_property
    def clock(self) -> Clock:
        """The installation's clock."""
        return self.settings.clock()

    @cached_property
    def database(self) -> Database:
        """The records."""
        return Database(self.settings.records_url, self.clock)

    @cached_property
    def keys(self) -> KeyRing:
        """The secrets; the master key is made at the first start."""
        return KeyRing.create(self.settings.folder("keys"))

    @cached_property
    def law(self) -> LawBook:
        """The rules of the city's jurisdiction."""
        return LawBook.load(self.settings.jurisdiction)

    @cached_property
    def scopes(self) -> GrantScopes:
        """Where decisions find what a grant allows."""
        return GrantScopes(self.database)

    @cached_property
    def policies(self) -> Policies:
        """Who may do what."""
        return Policies(self.scopes)

    @cached_property
    def people(self) -> People:
        """Organisations, accounts, sessions."""
        return People(self.database, self.policies, csrf_key=self.keys.derive("csrf"), session_clock=self.clock)

    @cached_property
    def provider(self) -> Provider:
        """The OpenID provider, whose one client is the hub."""
        callback = f"{self.settings.sandbox_url}/hub/oauth_callback"
        client = make_client(HUB_CLIENT, self.hub_secret, [callback], ["analyst"])
        return Provider(
            self.database, self.people, issuer=self.settings.portal_url, clients=[client],
            key=self.keys.es256_key("oidc"), clock=self.clock,
        )  # fmt: skip

    @cached_property
    def hub_secret(self) -> str:
        """What the hub proves itself with to the provider."""
        return self.keys.derive("oidc-client", HUB_CLIENT).hex()

    @cached_property
    def hub_token(self) -> str:
        """What the platform proves itself with to the hub."""
        return self.keys.derive("hub-service-token").hex()

    @cached_property
    def raw_zone(self) -> RawZone:
        """The raw tables; only platform workers read them."""
        return RawZone(self.settings.folder("raw"))

    @cached_property
    def catalog(self) -> CatalogService:
        """Entries and batches."""
        aggregation = Aggregation(self.database, self.policies, self.raw_zone)
        return CatalogService(self.database, self.policies, self.law, self.raw_zone, aggregation)

    @cached_property
    def authorization(self) -> AuthorizationService:
        """Authorizations, demands, grants."""
        return AuthorizationService(self.database, self.policies, self.law, self.keys)

    @cached_property
    def releases(self) -> ReleaseService:
        """Desensitized releases."""
        builder = ReleaseBuilder(self.settings.folder("releases"), self.raw_zone, self.keys, RiskPolicy())
        return ReleaseService(self.database, self.policies, self.keys, builder)

    @cached_property
    def jobs(self) -> Jobs:
        """The queue of long work."""
        return Jobs(self.settings.folder("jobs") / "jobs.db")
