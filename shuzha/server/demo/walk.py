"""What every journey shares: ten hops in order, the people who walk them, and the hops that differ in no dataset.

A journey is a `Walk` that says what its dataset is: how the entry comes in, what is applied for, what is sold, and how
a consumer uses it.
"""

from __future__ import annotations

import datetime as dt
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from shuzha.core.clock import OffsetClock, city_date, end_of_day, start_of_day
from shuzha.core.errors import ShuzhaError, Unavailable
from shuzha.core.money import Price
from shuzha.ledger.verify import verify_folder
from shuzha.server.demo.client import Person, Portal
from shuzha.server.demo.hub_session import run_notebook
from shuzha.server.demo.sheets import EVIDENCE, announcement
from shuzha.server.platform import Platform

HOPS = ("catalog", "aggregate", "authorize", "release", "sandbox", "airlock", "product", "serve", "settle", "oversee")
Done = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of the report: its id, how long it took, what it proved, and the ids of what it made."""

    id: str
    seconds: float
    proved: str
    made: Mapping[str, Any]


Tell = Callable[[Hop], None]


class Walk(ABC):
    """The walk; `made` collects the ids that later hops need, `secret` is the consumer's key and in no report."""

    notebook: ClassVar[str]
    context: ClassVar[str]
    price_hao: ClassVar[int]

    def __init__(self, platform: Platform, password: str, tell: Tell = lambda _hop: None) -> None:
        self.platform = platform
        self.password = password
        self.tell = tell
        self.made: dict[str, Any] = {}
        self.hops: list[Hop] = []
        self.secret = ""
        self._portal = Portal(platform.settings)
        self._people: dict[str, Person] = {}

    @abstractmethod
    def catalog(self) -> Done:
        """Hop 1: the provider's entry is drafted, scanned, submitted; the authority publishes it."""

    @abstractmethod
    def aggregate(self) -> Done:
        """Hop 2: a batch of raw data enters the raw zone, with a receipt."""

    @abstractmethod
    def serve(self) -> Done:
        """Hop 8: a consumer's key uses the product; every use is metered, and in the log before it is answered."""

    @abstractmethod
    def application(self, today: dt.date) -> dict[str, Any]:
        """Return what the operating unit applies with."""

    @abstractmethod
    def demand(self, authorization: str, term: dict[str, str]) -> dict[str, Any]:
        """Return the demand of the journey's one scenario."""

    @abstractmethod
    def deposit(self) -> dict[str, Any]:
        """Return what is deposited for the product."""

    @abstractmethod
    def find_sold_file(self, files: Mapping[str, Any]) -> str:
        """Return which of the released files becomes the product."""

    def person(self, login: str) -> Person:
        """Return one of the cast, signed in."""
        if login not in self._people:
            self._people[login] = self._portal.sign_in(login, self.password)
        return self._people[login]

    def walk(self) -> tuple[Hop, ...]:
        """Walk all hops; an error names the hop that it came from."""
        for name in HOPS:
            started = time.monotonic()
            try:
                proved, made = getattr(self, name)()
            except ShuzhaError as error:
                raise Unavailable(f"hop {name} failed: {error}") from error
            self.made.update(made)
            hop = Hop(name, round(time.monotonic() - started, 2), proved, made)
            self.hops.append(hop)
            self.tell(hop)
        return tuple(self.hops)

    def authorize(self) -> Done:
        """Hop 3: announcement, application, experts, approval, publicity, two signatures; demand, check, grant."""
        operator, authority, provider = self.person("operator"), self.person("authority"), self.person("provider")
        found = self._apply(operator, authority)
        one = f"/authorizations/{found['id']}"
        score = self._review(authority, one)
        authority.post(f"{one}/approve", {"number": "政数批〔2026〕12号（演示）", "reason": "同意 approved"})
        authority.post(f"{one}/publicize", {"reason": "公示无异议 shown in public"})
        operator.post(f"{one}/sign", {"reason": "签署 signed"})
        signed = authority.post(f"{one}/countersign", {"reason": "签署 signed"})
        demand = operator.post("/demands", self.demand(found["id"], signed["agreement"]["term"]))
        operator.post(f"/demands/{demand['id']}/submit")
        authority.post(f"/demands/{demand['id']}/check", {"reason": "场景清晰可实施 clear and implementable"})
        grant = provider.post(f"/demands/{demand['id']}/grant", {"reason": "最小必要 only what is needed"})
        said = f"three blind experts: {score} of 100; agreement {signed['document'][:16]}… "
        said += f"signed by {len(signed['signatures'])}, filed as {signed['filing']}; "
        said += f"grant of {len(grant['scope']['columns'])} columns, scope {grant['scope']['version'][:16]}…"
        return said, {"authorization": found["id"], "demand": demand["id"], "grant": grant["id"]}

    def _apply(self, operator: Person, authority: Person) -> Any:
        """Return the application under this year's announcement, with its evidence, once it is qualified."""
        today = city_date(self.platform.clock.now())
        announced = authority.post("/announcements", announcement(today))
        authority.post(f"/announcements/{announced['id']}/publish", {"reason": "年度公告 this year's"})
        found = operator.post("/authorizations", {**self.application(today), "announcement": announced["id"]})
        one = f"/authorizations/{found['id']}"
        for kind, text in EVIDENCE.items():
            operator.attach(f"{one}/evidence", text.encode(), kind=kind, name=f"{kind}.txt")
        checks = [{"fact": fact, "clear": True, "day": today.isoformat(), "evidence": "演示 demo"} for fact in _FACTS]
        authority.post(f"{one}/qualify", {"checks": checks, "reason": "资格条件符合 every fact is clear"})
        return found

    def _review(self, authority: Person, one: str) -> int:
        """Return the mean of three experts, who score an application without its applicant's name."""
        experts = [self.person(login) for login in _EXPERTS]
        accounts = [expert.get("/me")["account"]["id"] for expert in experts]
        reason = "第三方专家评审 third-party experts"
        asked = authority.post(f"{one}/experts", {"experts": accounts, "reason": reason})
        for expert, each, total in zip(experts, asked, _SCORES, strict=True):
            it = f"/assessments/{each['id']}"
            expert.post(f"{it}/declare")
            criteria = expert.get(f"{it}/application")["criteria"]
            points = [{"criterion": one["name"], "points": one["most"] * total // 100} for one in criteria]
            expert.post(f"{it}/score", {"points": points, "comment": "方案可行 a sound plan"})
        return int(authority.post(f"{one}/review", {"reason": "专家评审通过 the experts agree"})["score"])

    def release(self) -> Done:
        """Hop 4: the grant's release is built, measured and certified."""
        operator = self.person("operator")
        release = operator.post("/releases", {"grant": self.made["grant"]})
        release = operator.wait(f"/releases/{release['id']}", lambda one: one["state"] != "building", "the release")
        if release["state"] != "ready":
            raise Unavailable(f"the release is {release['state']}: {release['reason']}")
        certificate = operator.get(f"/releases/{release['id']}/certificate")
        return _certified(release, certificate), {"release": release["id"]}

    def sandbox(self) -> Done:
        """Hop 5: the analyst's workspace opens behind the gate; a starter notebook runs in its kernel and submits."""
        analyst = self.person("analyst")
        found = analyst.post("/workspaces", {"demand": self.made["demand"]})
        found = analyst.wait(f"/workspaces/{found['id']}", lambda one: one["state"] != "opening", "the workspace")
        if found["state"] != "open":
            raise Unavailable(f"the workspace is {found['state']}: {found['reason']}")
        server = f"/user/{found['handle']}/{found['name']}"
        submit = f'workbench.submit("{self.notebook}", context="{self.context}")'
        run = run_notebook(self.platform.settings, "analyst", self.password, server, self.notebook, submit)
        if run.failed:
            raise Unavailable(f"the notebook failed: {run.failed}")
        (export, *_) = analyst.get("/exports", workspace=found["id"])
        said = f"{len(run.cells)} cells in a jailed kernel through the hub's proxy; export request {export['id']}"
        return said, {"workspace": found["id"], "server": server, "export": export["id"]}

    def airlock(self) -> Done:
        """Hop 6: run again in a clean room, recomputed, checked, reviewed by two blind to each other, released."""
        export, analyst = f"/exports/{self.made['export']}", self.person("analyst")
        found = analyst.wait(export, lambda one: one["state"] in _SCREENED, "the clean room")
        if found["state"] != "screened":
            raise Unavailable(f"the export request is {found['state']}: {found['steps'][-1]['reason']}")
        for login in ("checker1", "checker2"):
            reason = "每格不少于十人，规格在授权范围内 every cell has ten people or more; within the grant"
            self.person(login).post(f"{export}/vote", {"choice": "approve", "reason": reason})
        found = analyst.wait(export, lambda one: one["state"] in _DECIDED, "the release")
        if found["state"] != "released":
            raise Unavailable(f"the export request is {found['state']}")
        files = {each["name"]: each for each in found["files"]}
        said = f"{len(files)} files released, each recomputed by the platform; record {found['record'][:16]}… signed"
        return said, {"file": self.find_sold_file(files), "files": sorted(files)}

    def product(self) -> Done:
        """Hop 7: deposit, apply, accept, review, public notice, code; then listed, indexed and in service."""
        operator, registry = self.person("operator"), self.person("registry")
        made = operator.post("/products", self.deposit())
        one = f"/products/{made['id']}"
        operator.post(f"{one}/apply")
        registry.post(f"{one}/accept")
        registry.post(f"{one}/pass")
        noticed = registry.post(f"{one}/announce", {"text": "拟登记公示（演示） notice of registration (demo)"})
        # The demonstration's clock goes to the day after the notice's last day; production has no such clock.
        self._advance_to(end_of_day(dt.date.fromisoformat(noticed["notice_due"])))
        coded = registry.post(f"{one}/code")
        registry.post(f"{one}/validate")
        operator.post(f"{one}/list", {"price_hao": self.price_hao})
        if made["kind"] == "verification":
            operator.wait(one, lambda product: product["index_version"] > 0, "the verification index")
        served = operator.post(f"{one}/start")
        said = f"{coded['code']} after a notice to {noticed['notice_due']}"
        found = {"product": made["id"], "product_code": coded["code"]}
        if made["kind"] != "verification":
            return f"{said}; a {made['kind']}, file {self.made['file']}", found
        subjects = served["index_subjects"]
        return f"{said}; index of {subjects:,} subjects", found | {"subjects": subjects}

    def settle(self) -> Done:
        """Hop 9: the month ends; usage becomes a bill and shares that sum to it."""
        regulator, authority = self.person("regulator"), self.person("authority")
        period = f"{city_date(self.platform.clock.now()):%Y-%m}"
        self._advance_to(_first_of_next_month(self.platform.clock.now()) + dt.timedelta(minutes=5))
        authority.post("/statements", {"period": period})
        statements = authority.post("/statements/approve", {"period": period})
        bill = next(each for each in statements if each["kind"] == "bill")
        shared = next(each for each in statements if each["kind"] == "authorization")
        calls = self.made["calls"]
        checked = regulator.get("/statements/reconciliation", period=period, acknowledged=str(calls))
        recount = regulator.get("/statements/recount", period=period)
        total = sum(shared["shares"].values())
        if total != bill["due_fen"] or not recount["equal"]:
            raise Unavailable(f"shares sum to {total} fen, the bill is {bill['due_fen']} fen")
        shares = ", ".join(f"{party} {fen}" for party, fen in shared["shares"].items())
        price = Price(self.price_hao).yuan()
        said = f"{calls} calls at {price} yuan make {bill['due_fen']} fen: {shares}; recounted from the log"
        made = {"billed_fen": bill["due_fen"], "shares_fen": shared["shares"], "period": period}
        return said, made | {"statement": shared["id"], "reconciliation": checked}

    def oversee(self) -> Done:
        """Hop 10: the regulator walks a use back to its raw data, and verifies both logs offline."""
        walked = self.person("regulator").get(f"/oversight/trace/{self.made['usage']}")
        if not walked["holds"]:
            raise Unavailable(f"the trace of {self.made['usage']} does not hold: {_wrong_links(walked)}")
        logs: dict[str, dict[str, Any]] = {}
        for name in ("usage", "audit"):
            folder = self.platform.settings.folder("logs") / name
            report = verify_folder(folder, None, None, None)
            if not report.sound:
                raise Unavailable(f"log {name} is not sound: {report.faults[0]}")
            logs[name] = {"entries": report.size, "signed": report.signed_size, "root": report.root}
        said = ", ".join(
            f"log {name}: {each['entries']} entries, root {each['root'][:12]}…" for name, each in logs.items()
        )
        links = walked["links"]
        said = (
            f"a use walked back over {len(links)} links, from the bill to {links[-1]['kind']} {links[-1]['id']}; {said}"
        )
        return f"{said}; sound", {"log": logs, "trace": [link["kind"] for link in links]}

    def _advance_to(self, moment: dt.datetime) -> None:
        clock = self.platform.clock
        if not isinstance(clock, OffsetClock):
            raise Unavailable("only a demonstration's clock can be moved")
        clock.advance(max(moment - clock.now(), dt.timedelta(0)))


_SCREENED = frozenset({"screened", "returned", "rejected", "held", "withdrawn"})
_DECIDED = frozenset({"released", "rejected", "returned", "consolidation", "held"})
# The points of the three experts, as shares of what a criterion can get.
_SCORES = (90, 85, 80)
_EXPERTS = ("expert1", "expert2", "expert3")
_FACTS = ("operation", "competence", "violations", "dishonesty", "dishonesty_head", "tax", "tax_head")


def _wrong_links(walked: Any) -> str:
    return ", ".join(f"{link['kind']} {link['id']}" for link in walked["links"] if link["holds"] is False)


def _certified(release: Any, certificate: Any) -> str:
    risk, limits = certificate["desensitization"]["measured"], certificate["limits"]
    said = f"{release['rows']:,} rows, smallest class {risk['smallest_class']}, highest risk {risk['prosecutor']:.3f} "
    return said + f"of {limits['threshold']:.3f} allowed; certificate signed"


def _first_of_next_month(now: dt.datetime) -> dt.datetime:
    first = (city_date(now).replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return start_of_day(first)
