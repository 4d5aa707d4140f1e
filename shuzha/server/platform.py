"""The composition root: every room built once from the settings, each given what it needs and nothing global."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from policies import Policies
from products.consumers.service import KeyService
from products.registry.exports import AirlockFiles
from products.registry.service import RegistryService, RegistrySettings
from products.serving.index import IndexService, index_folder
from sandbox.airlock.base import Parts
from sandbox.airlock.inputs import PlatformInputs
from sandbox.airlock.memory.identity import PlatformIdentities
from sandbox.airlock.memory.service import Memory
from sandbox.airlock.memory.zone import MemoryZone
from sandbox.airlock.model import ExportRequest
from sandbox.airlock.models.gate import ModelGate
from sandbox.airlock.room import JailedRoom
from sandbox.airlock.rules import Rules
from sandbox.airlock.screening import Screener
from sandbox.airlock.service import AirlockService
from sandbox.airlock.vault import Vault
from sandbox.inbound.base import Parts as InboundParts
from sandbox.inbound.service import InboundService
from sandbox.workspaces.clean_room.client import JailerRooms
from sandbox.workspaces.clean_room.specs import specs_of
from sandbox.workspaces.clean_room.verbs import ROOMS_SOCKET
from sandbox.workspaces.computing import ComputeService
from sandbox.workspaces.environment.fingerprint import environment_hash
from sandbox.workspaces.host.disks import images_folder
from sandbox.workspaces.host.limits import Limits
from sandbox.workspaces.hosting import LocalHost
from sandbox.workspaces.jailer.client import JailerClient
from sandbox.workspaces.noting import NoteKeeper
from sandbox.workspaces.own_files import OwnZone
from sandbox.workspaces.records.hub_settings import HubSettings, OpenIdProvider
from sandbox.workspaces.records.notes import Notes, notes_folder
from sandbox.workspaces.screen_files import ScreenFiles
from sandbox.workspaces.screens import ScreenService
from sandbox.workspaces.service import WorkspaceService
from sandbox.workspaces.sessions import SessionKeeper, SessionRules
from sandbox.workspaces.verbs import WorkspaceVerbs
from shuzha.authorization.explaining import PolicyVerbs
from shuzha.authorization.holds import RightsService
from shuzha.authorization.service import AuthorizationService, GrantScopes
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
from shuzha.exits.ending import Ending
from shuzha.exits.looking import Places
from shuzha.exits.service import ExitParts, ExitService
from shuzha.ledger.audit import prove_event
from shuzha.oversight.disclosure import Disclosure
from shuzha.oversight.logs import Logs
from shuzha.oversight.service import Oversight, UsagePlaces
from shuzha.oversight.usage import UsageViews
from shuzha.people.oidc import Provider, make_client
from shuzha.people.service import People
from shuzha.people.staff_service import Staff
from shuzha.releases.build import ReleaseBuilder
from shuzha.releases.model import RiskPolicy
from shuzha.releases.service import ReleaseService
from shuzha.server.bridges import AnswerWindow, ExportWindow, submission_of
from shuzha.settlement.service import SettlementService
from shuzha.settlement.sources import UsageSource

HUB_CLIENT = "jupyterhub"
_STARTER = Path(__file__).parents[2] / "notebooks" / "starter"


@dataclass
class Platform:
    """One process's rooms. Each is built when it is first asked for, so a process pays for what it uses."""

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
    def policy_verbs(self) -> PolicyVerbs:
        """Questions about policies: why, what if, ODRL."""
        return PolicyVerbs(self.database, self.policies, self.law, self.keys)

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

    @cached_property
    def hub_settings(self) -> HubSettings:
        """What the hub and its gate are told; people sign in at the portal, asked for tokens on the loopback."""
        settings, folder = self.settings, self.settings.folder
        here = f"http://{settings.bind}:{settings.portal_port}"
        return HubSettings(
            bind_ip=settings.bind,
            bind_port=settings.sandbox_port,
            public_url=f"{settings.sandbox_url}/",
            state=folder("hub"),
            runtime=settings.runtime,
            specs=folder("workspaces"),
            releases=folder("releases"),
            own=folder("own"),
            homes=folder("homes"),
            controls=folder("run") / "controls.json",
            usage=folder("gate") / "usage.db",
            environment=settings.sandbox_environment,
            service_token_file=folder("keys") / "hub-token",
            starter=_STARTER,
            screen_budget=settings.screen_budget,
            screen_pace=settings.screen_pace,
            gate_connections=settings.gate_connections,
            service_uid=settings.service_uid,
            spawner=settings.spawner,
            pod_image=settings.pod_image,
            pod_address=settings.address_for_pods,
            sign_in=OpenIdProvider(
                authorize_url=f"{settings.portal_url}/oidc/authorize",
                token_url=f"{here}/oidc/token",
                userdata_url=f"{here}/oidc/userinfo",
                client_id=HUB_CLIENT,
                client_secret_file=folder("keys") / "hub-client-secret",
                username_claim="preferred_username",
            ),
        )

    @cached_property
    def host(self) -> LocalHost:
        """Where workspaces run."""
        wanted = self.settings
        limits = Limits(
            memory_bytes=wanted.workspace_memory, processes=wanted.workspace_processes,
            cpu_percent=wanted.workspace_cpu, home_bytes=wanted.workspace_disk,
        )  # fmt: skip
        return LocalHost(self.hub_settings, lambda: self.hub_token, limits)

    @cached_property
    def workspaces(self) -> WorkspaceService:
        """Workspaces as records, and what their host does for them."""
        return WorkspaceService(
            self.database, self.policies, self.scopes, self.host, self.releases.path, self.own_files,
            environment=lambda: environment_hash(self.settings.sandbox_environment),
        )  # fmt: skip

    @cached_property
    def own_files(self) -> OwnZone:
        """Where the files lie that units brought into their workspaces."""
        return OwnZone(self.settings.folder("own"))

    @cached_property
    def inbound(self) -> InboundService:
        """Import requests; a file is read in a process of its own."""
        vault = Vault(self.settings.folder("inbound"))
        return InboundService(
            InboundParts(
                self.database, self.policies, self.law, self.keys, vault, self.own_files, self.releases.path,
                scratch=self.settings.folder("scratch") / "inbound",
            )
        )  # fmt: skip

    @cached_property
    def compute(self) -> ComputeService:
        """What workspaces use and run into, booked by the worker."""
        jailer = JailerClient(self.hub_settings.jailer_socket, wait=1.0)
        return ComputeService(self.database, self.policies, jailer)

    @cached_property
    def sessions(self) -> SessionKeeper:
        """What ends workspaces that run too long, or in which nothing happens."""
        rules = SessionRules(self.settings.workspace_hours, self.settings.workspace_idle_minutes)
        return SessionKeeper(self.database, self.workspaces, self.host, self.compute.ask_now, rules)

    @cached_property
    def screens(self) -> ScreenService:
        """What workspaces show on screens, and may."""
        return ScreenService(self.database, self.policies, ScreenFiles(self.hub_settings))

    @cached_property
    def airlock(self) -> AirlockService:
        """Export requests; the clean room runs in jails that the jailer of this host makes."""
        vault = Vault(self.settings.folder("vault"))
        inputs = PlatformInputs(self.database, self.raw_zone, self.releases.path)
        room = JailedRoom(
            self.database, self.releases.path, environment=self.settings.sandbox_environment,
            rooms=JailerRooms(self.settings.runtime / ROOMS_SOCKET, specs_of(self.hub_settings)),
            own_file=self.inbound.mount_of,
        )  # fmt: skip
        rules = Rules()
        models = ModelGate(rules.models, folder=self.settings.folder("scratch") / "models")
        screener = Screener(inputs, vault, rules, memory=self.memory, models=models)
        prove = partial(prove_event, self.settings.folder("logs") / "audit")
        return AirlockService(Parts(self.database, self.policies, self.law, self.keys, vault, room, screener, prove))

    @cached_property
    def memory(self) -> Memory:
        """What was released, and about whom; its files lie in the raw zone, being about raw entities."""
        identities = PlatformIdentities(self.database, self.raw_zone, self.keys)
        return Memory(self.database, MemoryZone(self.raw_zone.folder / "memory"), identities)

    @cached_property
    def verbs(self) -> WorkspaceVerbs:
        """What a notebook may ask over its workspace's socket."""
        exports = ExportWindow(self.database, self.people, self.airlock)
        answers = AnswerWindow(self.people, self.answers)
        return WorkspaceVerbs(self.database, self.policies, self.host, exports, answers, self.inbound)

    @cached_property
    def notes(self) -> NoteKeeper:
        """What the gate tells analysts of their workspaces, kept current by the worker."""
        exports = ExportWindow(self.database, self.people, self.airlock)
        notes = Notes(notes_folder(self.hub_settings.controls))
        return NoteKeeper(self.database, notes, exports, self.settings.portal_url)

    @cached_property
    def registry(self) -> RegistryService:
        """Products and their registration."""
        return RegistryService(
            self.database, self.policies, self.law, AirlockFiles(self.airlock), self.scopes,
            RegistrySettings(self.settings.folder("products"), self.settings.city_code),
        )  # fmt: skip

    @cached_property
    def consumers(self) -> KeyService:
        """Consumers' keys."""
        return KeyService(self.database, self.policies)

    @cached_property
    def indexes(self) -> IndexService:
        """The builder of verification indexes, inside the raw zone."""
        return IndexService(
            self.database, self.policies, self.registry, self.scopes, self.raw_zone, self.keys,
            self.settings.folder("products"),
        )  # fmt: skip

    @cached_property
    def settlement(self) -> SettlementService:
        """Statements and shares."""
        usage = UsageSource(self.settings.folder("usage"), self.settings.folder("logs") / "usage")
        return SettlementService(self.database, self.policies, usage)

    @cached_property
    def exits(self) -> ExitService:
        """How authorizations are left: freeze, hand-over, destruction, final settlement, certificate."""
        folder, homes = self.settings.folder("products"), self.hub_settings.homes
        places = Places(
            self.releases.path, lambda product: index_folder(folder, product.id),
            lambda one: (homes / one.name, images_folder(homes) / f"{one.name}.img"),
            lambda one: self.settings.folder("own") / one.name,
        )  # fmt: skip
        ending = Ending(self.database, self.keys, self.releases, self.workspaces, self.registry, self.consumers, places)
        prove = partial(prove_event, self.settings.folder("logs") / "audit")
        return ExitService(ExitParts(self.database, self.policies, self.law, self.keys, ending, self.settlement, prove))

    @cached_property
    def usage_views(self) -> UsageViews:
        """Usage, as each organisation may see it."""
        return UsageViews(self.database, self.policies, self.settings.folder("usage"))

    @cached_property
    def logs(self) -> Logs:
        """The two logs, as supervisors see them."""
        return Logs(self.policies, self.clock, self.settings.folder("logs"))

    @cached_property
    def oversight(self) -> Oversight:
        """Uses walked back to their raw data, and usage beside money."""
        places = UsagePlaces(self.settings.folder("usage"), self.settings.folder("logs") / "usage")
        return Oversight(self.database, self.policies, self.airlock, self.releases, places)

    @cached_property
    def disclosure(self) -> Disclosure:
        """What anybody may read."""
        return Disclosure(self.database)

    def submit_export(
        self, actor: Actor, workspace_id: str, notebook: str, title: str, context: str, again: str = ""
    ) -> ExportRequest:
        """Submit a saved notebook of the actor's workspace as an export request; `again` names a returned one."""
        content = self.workspaces.read_notebook(actor, workspace_id, notebook)
        workspace = self.workspaces.get_workspace(actor, workspace_id)
        asked = submission_of(self.database, workspace, content, title=title, context=context, outputs={})
        return self.airlock.resubmit(actor, again, asked) if again else self.airlock.submit(actor, asked)

    @cached_property
    def jobs(self) -> Jobs:
        """The queue of long work."""
        return Jobs(self.settings.folder("jobs") / "jobs.db")
