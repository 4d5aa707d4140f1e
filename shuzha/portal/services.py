"""What the pages need of the composition root: the rooms' services, and the one verb that joins two of them."""

from __future__ import annotations

from typing import Protocol

from policies import Policies
from products.consumers.apps import AppService
from products.consumers.service import KeyService
from products.consumers.standing import Standings
from products.consumers.usage_now import UsageNow
from products.consumers.webhooks import WebhookService
from products.defence.service import DefenceService
from products.forms.service import FormService
from products.registry.cases import CaseService
from products.registry.dossier import Dossiers
from products.registry.registers import Registers
from products.registry.resources import ResourceService
from products.registry.service import RegistryService
from products.registry.sheet import Addresses, Sheets
from sandbox.airlock.model import ExportRequest
from sandbox.airlock.service import AirlockService
from sandbox.inbound.service import InboundService
from sandbox.workspaces.computing import ComputeService
from sandbox.workspaces.hosting import Host
from sandbox.workspaces.screens import ScreenService
from sandbox.workspaces.service import WorkspaceService
from shuzha.authorization.holds import RightsService
from shuzha.authorization.service import AuthorizationService
from shuzha.authorization.subjects import SubjectVerbs
from shuzha.budgets.answering import AnswerService
from shuzha.budgets.purse import ReleasePurse
from shuzha.budgets.service import BudgetService
from shuzha.catalog.service import CatalogService
from shuzha.core.actor import Actor
from shuzha.core.clock import Clock
from shuzha.core.lawbook import LawBook
from shuzha.core.settings import Settings
from shuzha.exits.service import ExitService
from shuzha.oversight.alerts import Alerts
from shuzha.oversight.disclosure import Disclosure
from shuzha.oversight.live import LiveUsage
from shuzha.oversight.logs import Logs
from shuzha.oversight.orders import Orders
from shuzha.oversight.requirements import Requirements
from shuzha.oversight.service import Oversight
from shuzha.oversight.usage import UsageViews
from shuzha.oversight.walks import Walks
from shuzha.oversight.witnesses import Witnesses
from shuzha.people.service import People
from shuzha.people.staff_service import Staff
from shuzha.releases.service import ReleaseService
from shuzha.settlement.approving import StatementDesk
from shuzha.settlement.pricing import PricingService
from shuzha.settlement.service import SettlementService


class Services(Protocol):
    """The rooms of one installation, as `shuzha.server.platform.Platform` builds them."""

    @property
    def defence(self) -> DefenceService:
        """Limits of products against enumeration, and alarms."""
        ...

    @property
    def settings(self) -> Settings:
        """The installation's settings."""
        ...

    @property
    def clock(self) -> Clock:
        """The installation's clock."""
        ...

    @property
    def law(self) -> LawBook:
        """The rules of the city."""
        ...

    @property
    def policies(self) -> Policies:
        """Who may do what."""
        ...

    @property
    def people(self) -> People:
        """Organisations and accounts."""
        ...

    @property
    def staff(self) -> Staff:
        """Who people are for certain, and what they were trained in."""
        ...

    @property
    def catalog(self) -> CatalogService:
        """Entries and batches."""
        ...

    @property
    def authorization(self) -> AuthorizationService:
        """Authorizations and demands."""
        ...

    @property
    def rights(self) -> RightsService:
        """What keeps authorizations and grants from being used."""
        ...

    @property
    def exits(self) -> ExitService:
        """How authorizations are left."""
        ...

    @property
    def policy_verbs(self) -> SubjectVerbs:
        """Questions about policies."""
        ...

    @property
    def releases(self) -> ReleaseService:
        """Desensitized releases."""
        ...

    @property
    def budgets(self) -> BudgetService:
        """Privacy budgets."""
        ...

    @property
    def purse(self) -> ReleasePurse:
        """What synthetic releases are paid from."""
        ...

    @property
    def answers(self) -> AnswerService:
        """What is left of the privacy budget for a grant."""
        ...

    @property
    def workspaces(self) -> WorkspaceService:
        """Workspaces."""
        ...

    @property
    def screens(self) -> ScreenService:
        """What workspaces show on screens, and may."""
        ...

    @property
    def compute(self) -> ComputeService:
        """What workspaces use and run into."""
        ...

    @property
    def host(self) -> Host:
        """Where workspaces run: asked for the bytes that a screen has shown."""
        ...

    @property
    def airlock(self) -> AirlockService:
        """Export requests."""
        ...

    @property
    def inbound(self) -> InboundService:
        """Import requests of own files."""
        ...

    @property
    def registry(self) -> RegistryService:
        """Products and their registration."""
        ...

    @property
    def apps(self) -> AppService:
        """Consumers' apps."""
        ...

    @property
    def resources(self) -> ResourceService:
        """Data resources and their registration."""
        ...

    @property
    def registers(self) -> Registers:
        """Both registers behind one door."""
        ...

    @property
    def cases(self) -> CaseService:
        """Changes, corrections, renewals and cancellations of registrations."""
        ...

    @property
    def addresses(self) -> Addresses:
        """Where the consumer API and the portal are."""
        ...

    @property
    def sheets(self) -> Sheets:
        """Product sheets."""
        ...

    @property
    def dossiers(self) -> Dossiers:
        """Registration dossiers."""
        ...

    @property
    def consumers(self) -> KeyService:
        """Consumers' keys."""
        ...

    @property
    def webhooks(self) -> WebhookService:
        """Where apps are told what happened."""
        ...

    @property
    def standings(self) -> Standings:
        """How products stand, for anybody."""
        ...

    @property
    def usage_now(self) -> UsageNow:
        """What apps use this moment."""
        ...

    @property
    def forms(self) -> FormService:
        """Terms of products by their form, and traces of leaked copies."""
        ...

    @property
    def settlement(self) -> SettlementService:
        """Statements."""
        ...

    @property
    def statement_desk(self) -> StatementDesk:
        """The life of settled statements."""
        ...

    @property
    def pricing(self) -> PricingService:
        """Price plans, ceilings and permitted revenues."""
        ...

    @property
    def usage_views(self) -> UsageViews:
        """Usage, as each may see it."""
        ...

    @property
    def witnesses(self) -> Witnesses:
        """Who cosigns the logs' checkpoints."""
        ...

    @property
    def walks(self) -> Walks:
        """From a fen to the raw entry, and back."""
        ...

    @property
    def live(self) -> LiveUsage:
        """Use as it happens."""
        ...

    @property
    def alerts(self) -> Alerts:
        """What looks odd, and what became of it."""
        ...

    @property
    def orders(self) -> Orders:
        """What supervisors take out of use with one decision."""
        ...

    @property
    def requirements(self) -> Requirements:
        """What operating units ask providers to mend."""
        ...

    @property
    def oversight(self) -> Oversight:
        """The chain behind a use."""
        ...

    @property
    def logs(self) -> Logs:
        """The logs, as supervisors see them."""
        ...

    @property
    def disclosure(self) -> Disclosure:
        """What is public."""
        ...

    def submit_export(
        self, actor: Actor, workspace_id: str, notebook: str, title: str, context: str, again: str = ""
    ) -> ExportRequest:
        """Submit a saved notebook of the actor's workspace as an export request; `again` names a returned one."""
        ...
