"""A small city behind its portal: a real platform in a folder, its people, and one dataset led through every room.

What needs the whole host is replaced by two honest stand-ins: workspaces run on paper (`PaperHost`), and the clean room
runs a notebook in a process of its own without a jail (`UnjailedRoom`). Everything else is the platform's own.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from products.consumers.model import NewKey
from products.registry.case_model import Asked, CaseKind
from products.registry.codes import ProductKind
from products.registry.model import Product, Registration, Sheet
from products.registry.registration import Objector
from products.registry.resource_model import Access, ResourceSheet
from sandbox.airlock.base import Parts
from sandbox.airlock.inputs import PlatformInputs
from sandbox.airlock.model import Choice, ExportRequest
from sandbox.airlock.rules import Rules
from sandbox.airlock.screening import Screener
from sandbox.airlock.service import AirlockService
from sandbox.airlock.vault import Vault
from sandbox.inbound.base import Parts as InboundParts
from sandbox.inbound.model import Wanted
from sandbox.inbound.service import InboundService
from sandbox.workspaces.model import Workspace
from sandbox.workspaces.records.specs import GrantedRelease
from shuzha.authorization.agreement import Agreement, Allocation, Income, Operation, OutputKind, Term
from shuzha.authorization.announcement import Announcement, AnnouncementDraft, Mode
from shuzha.authorization.assessment import Points
from shuzha.authorization.evidence import EvidenceKind
from shuzha.authorization.model import Application, Authorization, Demand, DemandDraft
from shuzha.authorization.qualification import clear_checks
from shuzha.catalog.model import Authorizing, Entry, EntryDraft, Opening, Sharing, SubjectKind, TermsKind, Title
from shuzha.core.actor import Actor
from shuzha.core.clock import OffsetClock, city_date, end_of_day
from shuzha.core.ids import new_id
from shuzha.core.money import Price
from shuzha.core.settings import Settings
from shuzha.ledger.audit import open_audit_log
from shuzha.ledger.checkpoint import Signer
from shuzha.metering.events import UsageEvent
from shuzha.metering.writer import DEFAULT_ORIGIN, KEY_NAME, open_store
from shuzha.oversight.anomalies import Oddity
from shuzha.oversight.model import AlertKind, Lack, OrderKind, OrderVerb
from shuzha.oversight.requirements import Asked as AskedMending
from shuzha.people.model import OrganisationKind
from shuzha.releases.model import Release
from shuzha.server.demo.cast import ADMINISTRATOR, ORGANISATIONS, PARTS
from shuzha.server.platform import Platform
from tests.airlock_kit import IMPORT, UnjailedRoom, notebook
from tests.authorization_kit import INSURANCE
from tests.inbound_kit import BRANCHES, KEPT, listed, people, read_here, wanted
from tests.releases_kit import payments
from tests.staff_kit import make_ready

PASSWORD = "Quiet-river-92-stone"
COLUMNS = ("resident_id", "period", "kind", "base", "paid", "district_code")
TABLE = (
    'workbench.export("by_district", workbench.table("social_insurance", rows=["district_code"], aggregate="entities"),'
    ' "各区参保人数 people insured by district")'
)
VERIFICATION = (
    'workbench.export("insured", workbench.verification("social_insurance", subject=["resident_id"], claims=['
    'workbench.claim("insured", "养老保险缴费基数不低于 12000", [("kind", "==", "pension"), ("base", ">=", 12000)])]),'
    ' "贷前核验 loan review")'
)
NARROW = (
    'workbench.export("by_base", workbench.table("social_insurance", rows=["district_code", "base"],'
    ' aggregate="entities"), "too narrow")'
)


class PaperHost:
    """Runs workspaces on paper only: it says that they run, and hands out one notebook."""

    def __init__(self) -> None:
        self.notebook = notebook(IMPORT, TABLE, VERIFICATION)
        self.held: list[str] = []

    def prepare(self, workspace: Workspace, releases: tuple[GrantedRelease, ...]) -> None:
        """Nothing is to be prepared."""

    def start(self, workspace: Workspace) -> None:
        """It runs at once."""

    def stop(self, workspace: Workspace) -> None:
        """It ends at once."""

    def has_ended(self, workspace: Workspace) -> bool:
        return False

    def why_ended(self, workspace: Workspace) -> str:
        return ""

    def hold(self, workspace: Workspace, reason: str) -> None:
        self.held.append(workspace.id)

    def release(self, workspace: Workspace) -> None:
        self.held.remove(workspace.id)

    def destroy(self, workspace: Workspace) -> dict[str, object]:
        """Nothing is to be destroyed."""
        return {}

    def read_notebook(self, workspace: Workspace, name: str) -> bytes:
        return self.notebook

    def screen_bytes(self, workspace: Workspace) -> dict[str, int]:
        return {f"{dt.datetime.now(dt.UTC):%Y-%m-%d}": 3_400_000}

    def screen_budget(self, workspace: Workspace) -> int:
        return 50 * 1024**2


@dataclass
class PortalCity:
    """The platform, its people by login, and the ids of what was made (`made`)."""

    folder: Path
    port: int = 8000
    made: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = Settings(data=self.folder / "data", demo=True, portal_port=self.port)
        self.platform = Platform(settings)
        self.platform.database.create_tables()
        self.host = PaperHost()
        self.platform.__dict__["host"] = self.host
        self.platform.__dict__["airlock"] = self._airlock()
        self.platform.__dict__["inbound"] = self._inbound()
        self.people: dict[str, Actor] = {}
        self._enrol()

    def _airlock(self) -> AirlockService:
        platform = self.platform
        vault = Vault(platform.settings.folder("vault"))
        inputs = PlatformInputs(platform.database, platform.raw_zone, platform.releases.path)
        screener = Screener(inputs, vault, Rules(), memory=platform.memory)
        parts = Parts(
            platform.database, platform.policies, platform.law, platform.keys, vault, UnjailedRoom(), screener
        )
        return AirlockService(parts)

    def _inbound(self) -> InboundService:
        platform = self.platform
        vault = Vault(platform.settings.folder("inbound"))
        scratch = platform.settings.folder("scratch") / "inbound"
        parts = InboundParts(
            platform.database, platform.policies, platform.law, platform.keys, vault, platform.own_files,
            platform.releases.path, scratch, reader=read_here,
        )  # fmt: skip
        return InboundService(parts)

    def _enrol(self) -> None:
        people = self.platform.people
        admin = people.bootstrap(login=ADMINISTRATOR, password=PASSWORD, name="系统管理员").actor("portal")
        self.people[ADMINISTRATOR] = admin
        known = {}
        for code, (kind, name, name_en, person) in ORGANISATIONS.items():
            known[code] = people.create_organisation(
                admin, code=code, name=name, kind=OrganisationKind(kind), responsible_person=person, name_en=name_en
            ).id
        for part in PARTS:
            account = people.create_account(
                admin, login=part.login, password=PASSWORD, name=part.name, organisation=known[part.organisation],
                roles=part.roles,
            )  # fmt: skip
            self.people[part.login] = account.actor("portal")
        make_ready(self.platform.staff, self.platform.database, self.people["analyst"].id)

    @property
    def today(self) -> dt.date:
        return city_date(self.platform.clock.now())

    def advance(self, until: dt.date) -> None:
        """Let the city's date be the day after `until`."""
        clock = self.platform.clock
        assert isinstance(clock, OffsetClock)
        clock.advance(end_of_day(until) - clock.now() + dt.timedelta(hours=2))

    def sheet(self, code: str, zh: str, en: str) -> EntryDraft:
        return EntryDraft(
            code, "social_insurance", Title(zh, en), "按月逐险种的缴费记录（合成数据） Monthly payments; synthetic",
            INSURANCE, classification="306010001", subject_kind=SubjectKind.PERSON, entity_key="resident_id",
            sharing=Sharing(TermsKind.CONDITIONAL, condition="依职责申请"),
            opening=Opening(TermsKind.NONE, basis="含个人信息"),
            authorizing=Authorizing(allowed=True, basis="授权运营实施方案"),
        )  # fmt: skip

    def entry(self, code: str = "370100-HRSS-0001", *, upto: str = "publish", zh: str = "社会保险缴费记录") -> Entry:
        """Lead an entry up to and with a verb: draft, submit, return or publish."""
        catalog, provider = self.platform.catalog, self.people["provider"]
        found = catalog.draft_entry(provider, self.sheet(code, zh, f"Social insurance payments {code[-4:]}"))
        if upto == "draft":
            return found
        catalog.scan_sample(provider, found.id, self._file(payments(60)), "sample.parquet")
        catalog.accept_proposals(provider, found.id)
        found = catalog.submit_entry(provider, found.id)
        if upto == "return":
            return catalog.return_entry(
                self.people["authority"], found.id, "更新周期未写明 the update cycle is missing"
            )
        if upto == "publish":
            return catalog.publish_entry(self.people["authority"], found.id, "要素齐全 complete")
        return found

    def _file(self, frame: object) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        path = folder / "rows.parquet"
        frame.write_parquet(path)  # type: ignore[attr-defined]
        return path

    def fill(self, entry: Entry, people: int = 600) -> None:
        catalog = self.platform.catalog
        batch = catalog.receive_batch(
            self.people["provider"], entry.id, self._file(payments(people)), "full", "hrss.parquet"
        )
        catalog.run_ingest(batch.id)

    def authorize(
        self, entry: Entry, *, upto: str = "countersign", title: str = "金融信用领域授权运营"
    ) -> Authorization:
        service, authority, operator = self.platform.authorization, self.people["authority"], self.people["operator"]
        agreement = Agreement(
            entries=(entry.id,), term=Term(self.today, self.today + dt.timedelta(days=364)),
            purposes=("loan-review", "statistics"),
            operations=tuple(Operation), output_kinds=(OutputKind.VERIFICATION, OutputKind.REPORT),
            income=Income("按次计价 price times calls", 1_000, Allocation(3_000, 2_000, 5_000)),
            rights_and_duties="依约提供服务", security="原始数据不出域", exit="冻结、移交、销毁",
            asset_disposal="产品下架，密钥销毁",
        )  # fmt: skip
        announced = self.announced(5 if upto == "publicize" else 0)
        found = service.apply(operator, Application(announced.id, title, "郑泉", "郑航", "培训 2026-02", agreement))
        for kind in EvidenceKind.OPERATION, EvidenceKind.COMPETENCE, EvidenceKind.PLAN:
            service.attach_evidence(operator, found.id, kind, f"{kind}.txt", f"{kind} 证明材料（演示）".encode())
        steps = {
            "qualify": lambda: service.qualify(authority, found.id, clear_checks(self.today), "资格符合"),
            "appoint": lambda: self._appoint(found),
            "score": lambda: self._score(found),
            "review": lambda: service.review(authority, found.id, "专家同意"),
            "approve": lambda: service.approve(authority, found.id, "政数批〔2026〕12号", "同意"),
            "publicize": lambda: service.publicize(authority, found.id, "公示"),
            "sign": lambda: service.sign(operator, found.id),
            "countersign": lambda: service.countersign(authority, found.id),
        }
        for verb, step in steps.items():
            if upto == "apply":
                break
            step()
            if verb == upto:
                break
        return service.get_authorization(operator, found.id)

    def announce(self, *, notice_days: int = 0, upto: str = "publish") -> Announcement:
        service, authority, today = self.platform.authorization, self.people["authority"], self.today
        found = service.draft_announcement(authority, AnnouncementDraft(
            title=f"{today.year} 年度公共数据授权运营公告", year=today.year, mode=Mode.COMPREHENSIVE,
            plan="公共数据授权运营实施方案", conditions=("设立数据安全负责人", "近三年无重大违法记录"), opens=today,
            closes=today + dt.timedelta(days=30), notice_days=notice_days,
        ))  # fmt: skip
        return service.publish_announcement(authority, found.id, "年度公告") if upto == "publish" else found

    def announced(self, notice_days: int) -> Announcement:
        """Return the announcement with so long a notice whose window is open now, published at the first call."""
        service, authority, now = self.platform.authorization, self.people["authority"], self.platform.clock.now()
        found = (
            one for one in service.list_announcements(authority)
            if one.is_open(now) and one.content.notice_days == notice_days
        )  # fmt: skip
        return next(found, None) or self.announce(notice_days=notice_days)

    def _appoint(self, found: Authorization) -> None:
        experts = [self.people[f"expert{number}"].id for number in (1, 2, 3)]
        self.platform.authorization.appoint_experts(self.people["authority"], found.id, experts, "第三方专家")

    def _score(self, found: Authorization) -> None:
        service = self.platform.authorization
        for number in (1, 2, 3):
            expert = self.people[f"expert{number}"]
            one = next(each for each in service.list_assessments(expert) if each.authorization == found.id)
            service.declare_no_conflict(expert, one.id)
            points = [
                Points(each.name, each.most * (80 + number) // 100)
                for each in service.read_blind(expert, one.id).criteria
            ]
            service.score(expert, one.id, points, "方案可行")

    def demand(self, authorization: Authorization, entry: Entry, scenario: str, *, upto: str = "grant") -> Demand:
        service, operator = self.platform.authorization, self.people["operator"]
        draft = DemandDraft(
            authorization=authorization.id, entry=entry.id, scenario=scenario, value="减少纸质证明 fewer paper proofs",
            columns=COLUMNS,
            operations=(Operation.VIEW, Operation.AGGREGATE, Operation.VERIFY, Operation.JOIN),
            output_kinds=(OutputKind.VERIFICATION, OutputKind.REPORT), purposes=("loan-review",),
            term=authorization.agreement.term,
        )  # fmt: skip
        found = service.draft_demand(operator, draft)
        if upto != "draft":
            service.submit_demand(operator, found.id)
        if upto in ("check", "grant"):
            service.check_demand(self.people["authority"], found.id, "场景清晰可实施")
        if upto == "grant":
            service.grant_demand(self.people["provider"], found.id, "最小必要")
        return service.get_demand(operator, found.id)

    def release(self, demand: Demand) -> Release:
        releases = self.platform.releases
        return releases.run_build(releases.request_release(self.people["operator"], demand.grant).id)

    def workspace(self, demand: Demand) -> Workspace:
        workspaces = self.platform.workspaces
        found = workspaces.open_workspace(self.people["analyst"], demand.id)
        return workspaces.run_start(found.id)

    def export(
        self, workspace: Workspace, *cells: str, title: str = "各区参保情况与核验", upto: str = "release"
    ) -> ExportRequest:
        """Lead an export request up to: submit, screen, review, differ or release."""
        self.host.notebook = notebook(IMPORT, *(cells or (TABLE, VERIFICATION)))
        airlock = self.platform.airlock
        context = "银行贷前核验：申请人是否连续参保；表格供季度报告使用。"
        made = self.platform.submit_export(self.people["analyst"], workspace.id, "coverage.ipynb", title, context)
        if upto == "submit":
            return made
        made = airlock.process(made.id)
        if upto == "screen":
            return made
        made = airlock.vote(self.people["checker1"], made.id, Choice.APPROVE, "各单元计数均大于 10 counts are large")
        if upto == "review":
            return made
        choice = Choice.CHANGES if upto == "differ" else Choice.APPROVE
        made = airlock.vote(self.people["checker2"], made.id, choice, "已逐格查看 I looked at each cell")
        return made if upto == "differ" else airlock.finish(made.id)

    def own_file(self, workspace: Workspace, content: bytes, wish: Wanted | None, *, upto: str = "admit") -> str:
        """Lead an own file up to: read, screen or admit; return the id of its request."""
        inbound, analyst = self.platform.inbound, self.people["analyst"]
        made = inbound.receive(analyst, workspace.id, "客户名单.csv", content).id
        inbound.read(made)
        if upto != "read" and wish is not None:
            inbound.submit(analyst, made, wish)
            inbound.screen(made)
        if upto == "admit":
            inbound.approve(self.people["checker1"], made, "与场景相符 serves the scenario")
            inbound.admit(made)
        return made

    def product(
        self, export: ExportRequest, file: str, kind: ProductKind, zh: str, en: str, *, upto: str = "start"
    ) -> Product:
        """Lead a product up to: deposit, announce, validate, list or start."""
        registry, operator, registrar = self.platform.registry, self.people["operator"], self.people["registry"]
        sheet = Sheet(
            zh,
            en,
            "申请人是否参加养老保险？ Is this person insured?",
            "每月 monthly",
            "每次一人 one person a call",
            "service@quanshu.example",
        )
        made = registry.deposit(operator, export.id, file, kind, sheet)
        if upto == "deposit":
            return made
        registry.apply(operator, made.id)
        registry.accept(registrar, made.id)
        registry.pass_review(registrar, made.id)
        made = registry.announce(registrar, made.id, "拟登记公示，异议请在期限内提出")
        if upto == "announce":
            return made
        assert made.notice_due is not None
        self.advance(made.notice_due)
        registry.code(registrar, made.id)
        made = registry.validate(registrar, made.id)
        if upto == "validate":
            return made
        made = registry.list_product(operator, made.id, Price(375), ())
        if kind is ProductKind.VERIFICATION:
            self.platform.indexes.run_build(made.id)
        return made if upto == "list" else registry.start(operator, made.id)

    def key(self, product: Product) -> NewKey:
        return self.platform.consumers.create_key(self.people["consumer"], product.id, "贷前系统", product.purposes)

    def use(self, product: Product, key: NewKey, calls: int, day: dt.date, *, waived: bool = False) -> None:
        """Meter calls of one day in the usage log, as the writer does."""
        platform = self.platform
        signer = Signer(DEFAULT_ORIGIN, platform.keys.signing_key(KEY_NAME))
        store = open_store(platform.settings.data, signer, platform.clock)
        version = platform.authorization.get_grant(self.people["operator"], product.grant).scope.version
        at = dt.datetime(day.year, day.month, day.day, 3, tzinfo=dt.UTC)
        try:
            store.record([_event(product, key, at, version, waived=waived) for _ in range(calls)])
            store.publish()
        finally:
            store.close()

    def audit(self) -> None:
        """Bring the audit log up to the newest event, as the worker does."""
        log = open_audit_log(self.platform.settings.data, self.platform.keys, self.platform.clock)
        log.catch_up(self.platform.database)
        log.publish()
        log.close()

    def walk(self) -> PortalCity:
        """Lead one dataset through every room, and leave something awaiting each person."""
        entry = self.entry()
        self.fill(entry)
        authorization = self.authorize(entry)
        demand = self.demand(authorization, entry, "贷前核验申请人是否连续参保")
        release = self.release(demand)
        workspace = self.workspace(demand)
        export = self.export(workspace)
        product = self.product(export, "insured", ProductKind.VERIFICATION, "社保参保核验", "Insurance check")
        key = self.key(product)
        first = self.today.replace(day=1)
        for offset, calls in ((0, 40), (1, 63), (2, 21)):
            self.use(product, key, calls, first + dt.timedelta(days=offset))
        self.advance((first + dt.timedelta(days=31)).replace(day=1))
        for offset, calls in ((0, 31), (1, 44)):
            self.use(product, key, calls, self.today - dt.timedelta(days=offset))
        self.use(product, key, 12, self.today, waived=True)
        month = f"{first:%Y-%m}"
        self.platform.settlement.settle(self.people["authority"], month)
        statements = self.platform.statement_desk.approve_month(self.people["authority"], month)
        self._leave_tasks(entry, authorization, workspace, export)
        self._leave_supervision(entry, product, key)
        self.audit()
        self.made |= {
            "entry": entry.id, "authorization": authorization.id, "demand": demand.id, "grant": demand.grant,
            "release": release.id, "workspace": workspace.id, "export": export.id, "product": product.id,
            "key": key.key.id, "app": key.key.app, "month": month,
            **{f"statement.{one.kind.value}": one.id for one in statements},
        }  # fmt: skip
        return self

    def _leave_tasks(
        self, entry: Entry, authorization: Authorization, workspace: Workspace, export: ExportRequest
    ) -> None:
        self.made["entry.submitted"] = self.entry("370100-HRSS-0002", upto="submit", zh="失业保险登记").id
        self.made["entry.returned"] = self.entry("370100-HRSS-0003", upto="return", zh="工伤认定记录").id
        self.made["authorization.applied"] = self.authorize(entry, upto="apply", title="普惠医疗领域授权运营").id
        self.made["authorization.qualified"] = self.authorize(entry, upto="appoint", title="文化旅游领域授权运营").id
        self.made["authorization.reviewed"] = self.authorize(entry, upto="review", title="交通出行领域授权运营").id
        self.made["authorization.noticed"] = self.authorize(entry, upto="publicize", title="住房保障领域授权运营").id
        self.made["announcement"] = self.announced(0).id
        self.made["announcement.draft"] = self.announce(upto="draft").id
        self._leave_assessments()
        self.made["demand.submitted"] = self.demand(authorization, entry, "租房补贴资格核验", upto="submit").id
        self.made["demand.checked"] = self.demand(authorization, entry, "稳岗返还资格核验", upto="check").id
        self.made["demand.bare"] = self.demand(authorization, entry, "季度就业统计").id
        self.made["import.read"] = self.own_file(workspace, people(range(100, 260)), None, upto="read")
        self.made["import.screened"] = self.own_file(workspace, people(range(100, 260)), listed(), upto="screen")
        self.made["import.inside"] = self.own_file(workspace, BRANCHES, wanted(*KEPT))
        self.made["export.screened"] = self.export(workspace, TABLE, title="第三季度各区参保人数", upto="screen").id
        self.made["export.voted"] = self.export(workspace, TABLE, title="各区参保人数（复核）", upto="review").id
        self.made["export.differs"] = self.export(workspace, VERIFICATION, title="参保核验规则二版", upto="differ").id
        self.made["export.returned"] = self.export(workspace, NARROW, title="按缴费基数细分", upto="screen").id
        report = self.product(
            export, "by_district", ProductKind.REPORT, "各区参保人数季报", "Insured people by district", upto="announce"
        )
        self.made["product.notice"] = report.id
        held = self.product(
            export, "by_district", ProductKind.REPORT, "各区参保人数年报", "Insured people a year", upto="announce"
        )
        self.made["product.held"] = held.id
        self._leave_registrations(entry, held)

    def _leave_registrations(self, entry: Entry, report: Product) -> None:
        """Leave an objection to answer, a resource on its way, and a case that the holder is to be heard on."""
        platform, registrar = self.platform, self.people["registry"]
        platform.registry.object_publicly(report.id, Objector("周女士", "zhou@example.cn"), "名称与我单位统计产品相同")
        sheet = ResourceSheet("社会保险参保信息", "Social insurance", "参保与缴费", "社会保险法", "wang@example.cn")
        resource = platform.resources.deposit(self.people["provider"], entry.id, sheet, Access.AUTHORIZED_OPERATION)
        platform.resources.apply(self.people["provider"], resource.id)
        self.made["resource"] = platform.resources.supplement(registrar, resource.id, "请补充采集依据的条款").id
        served = next(
            one for one in platform.registry.list_all(registrar)
            if one.registration is Registration.VALID and one.id != report.id
        )  # fmt: skip
        asked = Asked(CaseKind.CORRECTION, "更新频率与目录不符", {"refresh": "每日 daily"})
        self.made["case"] = platform.cases.file(self.people["provider"], served.id, asked).id

    def _leave_supervision(self, entry: Entry, product: Product, key: NewKey) -> None:
        platform, regulator = self.platform, self.people["regulator"]
        figures = {"uses": 75.0, "negative": 71.0, "share": 0.947}
        odd = Oddity(AlertKind.NEGATIVES, key.key.organisation, product.id, key.key.id, self.today.isoformat(), figures)
        platform.alerts.raise_alert(platform.actor("watch"), odd)
        self.made["alert"] = platform.alerts.list_alerts(regulator)[0].id
        spare = self.key(product)
        order = platform.orders.place(regulator, OrderVerb.SUSPEND, OrderKind.KEY, spare.key.id, "密钥疑似外泄")
        self.made["order"] = order.id
        asked = AskedMending(entry.id, Lack.MISSING, "2025 年的区划代码缺三分之一，无法按区统计。", ("district_code",))
        self.made["requirement"] = platform.requirements.raise_requirement(self.people["operator"], asked).id

    def _leave_assessments(self) -> None:
        service = self.platform.authorization
        asked = self.made["authorization.qualified"]
        for number in (1, 2):
            expert = self.people[f"expert{number}"]
            one = next(each for each in service.list_assessments(expert) if each.authorization == asked)
            self.made[f"assessment.{number}"] = one.id
            if number == 1:
                service.declare_no_conflict(expert, one.id)


def _event(product: Product, key: NewKey, at: dt.datetime, version: str, *, waived: bool) -> UsageEvent:
    usage_id = new_id("usg")
    return UsageEvent(
        usage_id=usage_id, kind=product.kind.value, key_id=key.key.id, idempotency_key=usage_id,
        consumer=key.key.organisation, product=product.id, authorization=product.authorization, policy_version=version,
        claim="insured", purpose=product.purposes[0], answer='{"result":"match"}', price=product.price.hao,
        waived=waived, request_digest="d", occurred_at=at,
    )  # fmt: skip
