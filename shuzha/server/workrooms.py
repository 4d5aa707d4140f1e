"""The rooms where people work with data, and the airlock that results leave by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

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
from sandbox.workspaces.compute_meter import ComputeMeter
from sandbox.workspaces.computing import ComputeService
from sandbox.workspaces.environment.fingerprint import environment_hash
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
from shuzha.core.actor import Actor
from shuzha.ledger.audit import prove_event
from shuzha.metering.client import UsageClient
from shuzha.oversight.requirements import Requirements
from shuzha.server.bridges import AnswerWindow, ExportWindow, RequirementWindow, submission_of
from shuzha.server.ground import HUB_CLIENT, Ground

_STARTER = Path(__file__).parents[2] / "notebooks" / "starter"


@dataclass
class Workrooms(Ground):
    """Workspaces on their host, own files, exports; built on people, rights and releases."""

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
    def compute_meter(self) -> ComputeMeter:
        """What brings the days of workspaces into the usage log."""
        return ComputeMeter(self.database, UsageClient(self.settings.folder("run") / "usage.sock"))

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
        wants = RequirementWindow(self.people, self.requirements)
        return WorkspaceVerbs(self.database, self.policies, self.host, exports, answers, self.inbound, wants)

    @cached_property
    def requirements(self) -> Requirements:
        """What operating units ask providers to mend."""
        return Requirements(self.database, self.policies, self.law)

    @cached_property
    def notes(self) -> NoteKeeper:
        """What the gate tells analysts of their workspaces, kept current by the worker."""
        exports = ExportWindow(self.database, self.people, self.airlock)
        notes = Notes(notes_folder(self.hub_settings.controls))
        return NoteKeeper(self.database, notes, exports, self.settings.portal_url)

    def submit_export(
        self, actor: Actor, workspace_id: str, notebook: str, title: str, context: str, again: str = ""
    ) -> ExportRequest:
        """Submit a saved notebook of the actor's workspace as an export request; `again` names a returned one."""
        content = self.workspaces.read_notebook(actor, workspace_id, notebook)
        workspace = self.workspaces.get_workspace(actor, workspace_id)
        asked = submission_of(self.database, workspace, content, title=title, context=context, outputs={})
        return self.airlock.resubmit(actor, again, asked) if again else self.airlock.submit(actor, asked)
