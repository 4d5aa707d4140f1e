"""The ground of the composition root: records, keys, law, people, and what may be done with which data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from policies import Policies
from shuzha.authorization.holds import RightsService
from shuzha.authorization.service import AuthorizationService, GrantScopes
from shuzha.authorization.subjects import SubjectVerbs
from shuzha.budgets.answering import AnswerService
from shuzha.budgets.purse import ReleasePurse
from shuzha.budgets.service import BudgetService
from shuzha.catalog.aggregation import Aggregation
from shuzha.catalog.lake import RawZone
from shuzha.catalog.service import CatalogService
from shuzha.core.actor import Actor, platform_actor
from shuzha.core.clock import Clock
from shuzha.core.jobs import Jobs
from shuzha.core.keys import KeyRing
from shuzha.core.lawbook import LawBook
from shuzha.core.settings import Settings
from shuzha.core.work import Database
from shuzha.people.oidc import Provider, make_client
from shuzha.people.service import People
from shuzha.people.staff_service import Staff
from shuzha.releases.build import ReleaseBuilder
from shuzha.releases.model import RiskPolicy
from shuzha.releases.service import ReleaseService

HUB_CLIENT = "jupyterhub"


@dataclass
class Ground:
    """What every process stands on: people, the catalogue, rights, releases and privacy budgets."""

    settings: Settings

    def actor(self, job: str) -> Actor:
        """Return the actor that a process of the platform acts as."""
        return platform_actor(job)

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
        return Policies(self.scopes, calendar=self.law.calendar)

    @cached_property
    def people(self) -> People:
        """Organisations, accounts, sessions."""
        return People(self.database, self.policies, csrf_key=self.keys.derive("csrf"))

    @cached_property
    def staff(self) -> Staff:
        """Who people are, and what they were trained in."""
        return Staff(self.database, self.policies, self.law, self.keys.derive("staff-identities"))

    @cached_property
    def provider(self) -> Provider:
        """The OpenID provider, whose one client is the hub."""
        callback = f"{self.settings.sandbox_url}/hub/oauth_callback"
        client = make_client(HUB_CLIENT, self.hub_secret, [callback], ["analyst"])
        return Provider(
            self.database, self.people, issuer=self.settings.portal_url, clients=[client],
            key=self.keys.es256_key("oidc"),
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
    def jobs(self) -> Jobs:
        """The queue of long work."""
        return Jobs(self.settings.folder("jobs") / "jobs.db")

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
    def policy_verbs(self) -> SubjectVerbs:
        """Questions about policies: why, what if, ODRL."""
        return SubjectVerbs(self.database, self.policies, self.law, self.keys)

    @cached_property
    def rights(self) -> RightsService:
        """What keeps authorizations and grants from being used, and lifts."""
        return RightsService(self.database, self.policies, self.law, self.keys, self.authorization.terminate)

    @cached_property
    def releases(self) -> ReleaseService:
        """Desensitized releases."""
        folder, purse = self.settings.folder("releases"), self.purse
        builder = ReleaseBuilder(folder, self.raw_zone, self.keys, RiskPolicy(), purse)
        return ReleaseService(self.database, self.policies, self.keys, builder, purse)

    @cached_property
    def budgets(self) -> BudgetService:
        """Privacy budgets."""
        return BudgetService(self.database, self.policies)

    @cached_property
    def purse(self) -> ReleasePurse:
        """What synthetic releases are paid from."""
        return ReleasePurse(self.database, self.budgets)

    @cached_property
    def answers(self) -> AnswerService:
        """Differentially private answers over the raw zone; the worker asks it."""
        return AnswerService(self.database, self.policies, self.budgets, self.raw_zone)
