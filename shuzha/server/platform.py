"""The composition root: every room built once from the settings, each given what it needs and nothing global."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from products.consumers.apps import AppService
from products.consumers.delivering import Deliveries
from products.consumers.noticing import Notices
from products.consumers.posting import read_private
from products.consumers.service import KeyService
from products.consumers.standing import Standings
from products.consumers.usage_now import UsageNow
from products.consumers.webhooks import WebhookService
from products.defence.service import DefenceService
from products.forms.deliveries import FetchesOf
from products.forms.service import FormParts, FormService
from products.registry.cases import CaseService
from products.registry.dossier import Dossiers
from products.registry.exports import AirlockFiles
from products.registry.objecting import Objecting
from products.registry.registers import Registers
from products.registry.resources import ResourceService
from products.registry.service import RegistryService, RegistrySettings
from products.registry.sheet import Addresses, Sheets
from products.serving.index import IndexService
from products.serving.places import index_folder
from products.serving.snapshot import read_manifest
from sandbox.workspaces.host.disks import images_folder
from shuzha.exits.ending import Ending
from shuzha.exits.looking import Places
from shuzha.exits.service import ExitParts, ExitService
from shuzha.ledger.audit import prove_event
from shuzha.ledger.reader import Proof
from shuzha.oversight.alerts import Alerts
from shuzha.oversight.disclosure import Disclosure
from shuzha.oversight.live import LiveUsage
from shuzha.oversight.logs import Logs
from shuzha.oversight.orders import Orders, find_buyers
from shuzha.oversight.patterns import Patterns
from shuzha.oversight.service import Oversight, UsagePlaces
from shuzha.oversight.usage import UsageViews
from shuzha.oversight.walks import Walks
from shuzha.oversight.witnesses import Witnesses
from shuzha.server.ordering import OrderMeans
from shuzha.server.workrooms import Workrooms
from shuzha.settlement.approving import StatementDesk
from shuzha.settlement.contributing import ContributionService
from shuzha.settlement.pricing import PricingService
from shuzha.settlement.service import SettlementService
from shuzha.settlement.sources import UsageSource


@dataclass
class Platform(Workrooms):
    """One process's rooms. Each is built when it is first asked for, so a process pays for what it uses.

    What all of them stand on is in `ground`, where people work in `workrooms`; here are products, money, the end of an
    authorization and oversight.
    """

    @cached_property
    def registry_settings(self) -> RegistrySettings:
        """Where products' files lie, and the fixed parts of their codes."""
        return RegistrySettings(self.settings.folder("products"), self.settings.city_code)

    @cached_property
    def registry(self) -> RegistryService:
        """Products and their registration."""
        return RegistryService(
            self.database, self.policies, self.law, AirlockFiles(self.airlock), self.scopes, self.registry_settings,
            self.keys,
        )  # fmt: skip

    @cached_property
    def resources(self) -> ResourceService:
        """Data resources and their registration."""
        return ResourceService(self.database, self.policies, self.law, self.registry_settings, self.keys)

    @cached_property
    def registers(self) -> Registers:
        """Both registers behind one door."""
        return Registers(self.registry, self.resources)

    @cached_property
    def cases(self) -> CaseService:
        """Changes, corrections, renewals and cancellations of registrations."""
        registers: dict[str, Objecting[Any]] = {"product": self.registry, "resource": self.resources}
        return CaseService(self.database, self.policies, self.law, registers)

    @cached_property
    def apps(self) -> AppService:
        """Consumers' apps."""
        return AppService(self.database, self.policies)

    @cached_property
    def addresses(self) -> Addresses:
        """Where the consumer API and the portal are, for sheets."""
        return Addresses(self.settings.api_url, self.settings.portal_url)

    @cached_property
    def sheets(self) -> Sheets:
        """Product sheets, as anybody may read them."""
        return Sheets(self.database, self.registry, self.scopes, self.addresses)

    @cached_property
    def dossiers(self) -> Dossiers:
        """Registration dossiers, written from the records."""
        return Dossiers(
            self.registry, self.cases, self.sheets, AirlockFiles(self.airlock), self.scopes, self.keys, self.addresses,
            self._prove,
        )  # fmt: skip

    def _prove(self, tag: str, subject: str) -> Proof | None:
        """Return the audit log's proof of the newest event of a tag about a thing, None where it has none yet."""
        event = self.database.find_event(tag, subject)
        return None if event is None else prove_event(self.settings.folder("logs") / "audit", event)

    @cached_property
    def consumers(self) -> KeyService:
        """Consumers' keys."""
        return KeyService(self.database, self.policies)

    @cached_property
    def webhooks(self) -> WebhookService:
        """Where apps are told what happened."""
        private = read_private(self.settings.webhook_networks)
        return WebhookService(self.database, self.policies, self.keys, private)

    @cached_property
    def deliveries(self) -> Deliveries:
        """What is on its way to webhooks."""
        return Deliveries(self.database, self.webhooks, read_private(self.settings.webhook_networks))

    @cached_property
    def notices(self) -> Notices:
        """What apps are told of."""
        return Notices(self.database, self.settings.folder("usage"))

    @cached_property
    def standings(self) -> Standings:
        """How products stand, for anybody."""
        return Standings(self.database)

    @cached_property
    def usage_now(self) -> UsageNow:
        """What apps use this moment."""
        return UsageNow(self.apps, self.consumers, self.clock, self.settings.folder("usage"))

    @cached_property
    def defence(self) -> DefenceService:
        """Limits of products against enumeration, and alarms."""
        return DefenceService(self.database, self.policies)

    @cached_property
    def indexes(self) -> IndexService:
        """The builder of verification indexes, inside the raw zone."""
        return IndexService(
            self.database, self.policies, self.registry, self.scopes, self.raw_zone, self.keys,
            self.settings.folder("products"),
        )  # fmt: skip

    @cached_property
    def forms(self) -> FormService:
        """The terms of products that are not verifications, and the traces of leaked copies."""
        parts = FormParts(
            self.database, self.policies, self.keys, self.settings.folder("products"),
            FetchesOf(self.settings.folder("usage")),
        )  # fmt: skip
        return FormService(parts)

    @cached_property
    def settlement(self) -> SettlementService:
        """Statements and shares."""
        usage = UsageSource(self.settings.folder("usage"), self.settings.folder("logs") / "usage")
        return SettlementService(self.database, self.policies, usage)

    @cached_property
    def statement_desk(self) -> StatementDesk:
        """The life of settled statements."""
        return StatementDesk(self.database, self.policies)

    @cached_property
    def pricing(self) -> PricingService:
        """Price plans, ceilings and permitted revenues."""
        return PricingService(self.database, self.policies)

    @cached_property
    def contributions(self) -> ContributionService:
        """What each raw entry contributes to a product, measured in the raw zone."""
        return ContributionService(self.database, self.policies, self.raw_zone)

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
    def witnesses(self) -> Witnesses:
        """Who cosigns the logs' checkpoints."""
        return Witnesses(self.database, self.policies, self.settings.folder("logs"))

    @cached_property
    def oversight(self) -> Oversight:
        """Uses walked back to their raw data, and usage beside money."""
        places = UsagePlaces(self.settings.folder("usage"), self.settings.folder("logs") / "usage")
        folder = self.settings.folder("products")
        return Oversight(
            self.database, self.policies, self.airlock, self.releases, places,
            lambda product: read_manifest(index_folder(folder, product)),
        )  # fmt: skip

    @cached_property
    def walks(self) -> Walks:
        """From a fen to the raw entry, and back."""
        return Walks(self.database, self.policies, self.releases, self.oversight, self.settings.folder("usage"))

    @cached_property
    def live(self) -> LiveUsage:
        """Use as it happens."""
        return LiveUsage(self.policies, self.clock, self.settings.folder("usage"))

    @cached_property
    def orders(self) -> Orders:
        """What supervisors take out of use with one decision."""
        usage = self.settings.folder("usage")
        return Orders(self.database, self.policies, OrderMeans(self), lambda products: find_buyers(usage, products))

    @cached_property
    def alerts(self) -> Alerts:
        """What looks odd, and what became of it."""
        patterns = Patterns(self.settings.folder("usage"), self.settings.folder("logs") / "usage")
        return Alerts(self.database, self.policies, patterns, self.orders)

    @cached_property
    def disclosure(self) -> Disclosure:
        """What anybody may read."""
        return Disclosure(self.database)
