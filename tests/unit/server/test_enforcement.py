"""Every verb, route and socket of the house asks `decide()` before it acts, or stands below with the reason why not."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from fastapi import APIRouter, Depends, FastAPI

from policies import Context, NoScopes, Policies, Resource
from products.forms.delivery import Copies
from products.forms.line import FormsClient
from products.serving.contract import make_documented_app
from products.serving.files import Files
from products.serving.forms import Forms
from products.serving.gate import Gate
from products.serving.lists import Lists, UsageFolder
from products.serving.meter import Digests
from products.serving.metrics import Metrics
from products.serving.state import ServingState
from products.serving.verify import Recorder, Verification
from sandbox.workspaces.platform_socket import Verbs
from shuzha.authorization.service import forget_ids
from shuzha.authorization.store import GRANTS
from shuzha.core.actor import Actor
from shuzha.core.settings import Settings
from shuzha.people.web import actor_dependency
from shuzha.server.platform import Platform
from shuzha.server.portal_app import make_app
from tests.enforcement_kit import Outcome, Reader, jobs_of, rooms_of, routes_of, verbs_of

OWN = "a person's own session or password; the session is what is checked"
OPEN = "anybody may read it: nothing of anybody's is shown"
TURN = "leads to another page, which asks"
HUB = "the OpenID client's own secret, code or token is what is checked"
BELOW = "below decisions: reached only through verbs that ask"
BOOKS = "the platform writes down what happened; nobody is given anything"
UNDONE = "carries out what a verb decided before; it looks at the record first"

EXCUSED_VERBS = {
    "Database.work": BELOW,
    "People.change_password": OWN,
}
EXCUSED_JOBS = {
    "BudgetService.keep_answer": BOOKS,
    "ComputeService.read_account": BOOKS,
    "ComputeService.read_accounts": BOOKS,
    "ComputeService.record_closed": BOOKS,
    "Deliveries.announce": BOOKS,
    "Deliveries.deliver": BOOKS,
    "InboundService.follow": UNDONE,
    "KeyRing.destroy_scenario_key": BELOW,
    "LocalHost.destroy": BELOW,
    "LocalHost.prepare": BELOW,
    "LocalHost.release": BELOW,
    "LocalHost.start": BELOW,
    "NoteKeeper.follow": BOOKS,
    "OwnZone.destroy": BELOW,
    "People.actor_of_session": OWN,
    "People.bootstrap": "refuses once there is any account",
    "People.find_session": OWN,
    "People.sign_in": OWN,
    "People.sign_out": OWN,
    "Orders.follow_recall": "it tells the buyers of what somebody recalled by right",
    "Provider.exchange": HUB,
    "Provider.issue_code": HUB,
    "RegistryService.follow_recall": UNDONE,
    "ReleaseService.run_destroy": UNDONE,
    "ScreenService.record_closed": BOOKS,
    "ScreenService.record_due": BOOKS,
}
EXCUSED_ROUTES = {
    "GET,HEAD /api/v1/openapi.json": OPEN,
    "POST /session": OWN,
    "DELETE /session": OWN,
    "GET /me": OWN,
    "POST /me/password": OWN,
    "GET /exits/public-key": OPEN,
    "GET /registry/public-key": OPEN,
    "GET /.well-known/openid-configuration": OPEN,
    "GET /oidc/jwks": OPEN,
    "GET /oidc/authorize": HUB,
    "POST /oidc/token": HUB,
    "GET /oidc/userinfo": HUB,
    "GET /sign-in": OPEN,
    "POST /sign-in": OWN,
    "POST /sign-out": OWN,
    "POST /language": OPEN,
    "GET /": TURN,
    "GET /public": OPEN,
    "GET /public/authorizations": OPEN,
    "GET /public/authorizations/{authorization_id}": OPEN,
    "GET /public/products": OPEN,
    "GET /public/products.jsonld": OPEN,
    "GET /public/products/{code}": OPEN,
    "GET /public/products/{code}/sheet.json": OPEN,
    "GET /public/products/{code}/dcat.jsonld": OPEN,
    "GET /public/products/{code}/odps.json": OPEN,
    "GET /keys": TURN,
    "GET /webhooks": TURN,
    "GET /status": OPEN,
    "GET /problems": OPEN,
    "GET /problems/{code}": OPEN,
    "GET /ledger/witnesses": OPEN,
    "POST /ledger/{name}/cosignatures": "a cosigned note: its two signatures are what is checked",
    **{
        f"GET /ledger/{log}/{name}": OPEN
        for log in ("usage", "audit")
        for name in ("key", "cosigned", "tile/{path:path}", "consistency", "checkpoint")
    },
    "GET /oversight/entries": TURN,
    "GET /oversight/uses": TURN,
    "GET /healthz": OPEN,
}
EXCUSED_CALLS = {
    "GET,HEAD /openapi.json": OPEN,
    "GET /v1/products": OPEN,
    "GET /v1/products/{code}": OPEN,
    "GET /v1/usage": "a consumer's own uses: its key is what is checked",
    "GET /v1/ledger/checkpoint": OPEN,
    "GET /v1/ledger/consistency": OPEN,
    "GET /v1/ledger/cosigned": OPEN,
    "GET /v1/ledger/key": OPEN,
    "GET /v1/ledger/tile/{path:path}": OPEN,
    "GET /v1/ledger/proof/{usage_id}": "a consumer's own use: its key is what is checked",
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /metrics": OPEN,
    "GET /.well-known/http-message-signatures-directory": OPEN,
    "GET /problems": OPEN,
    "GET /problems/{code}": OPEN,
}
"""What does not ask, and why it need not. A line that is not needed any more fails the test as well."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = Platform(Settings(data=tmp_path_factory.mktemp("house")))
    made.database.create_tables()
    return made


@pytest.fixture(scope="module")
def portal(platform):
    return make_app(platform)


@pytest.fixture(scope="module")
def consumer_app(platform, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    state = ServingState(platform.database, platform.policies, platform.keys, folder, forget_ids)
    usage = UsageFolder(folder)
    gate = Gate(state, platform.policies, platform.scopes, platform.clock, usage)
    recorder, digests = Recorder(gate, None), Digests(b"0" * 32)
    files = Files(gate, recorder, digests, lambda product: folder, Copies(state.database, platform.keys))
    lists = Lists(gate, usage, folder, folder / "socket")
    forms = Forms(gate, recorder, digests, FormsClient(folder / "forms.sock"))
    return make_documented_app(Verification(gate, recorder, digests), files, lists, Metrics(), forms=forms)


def unasked_verbs(platform, reader):
    rooms = [room for _, room in rooms_of(platform)]
    return {name: said for room in rooms for name, verb in verbs_of(room) if (said := reader.read(verb)) != "asks"}


def unasked_jobs(platform, reader):
    rooms = [room for _, room in rooms_of(platform)]
    found = {name: reader.read(job) for room in rooms for name, job in jobs_of(room)}
    return {name: said for name, said in found.items() if said in (Outcome.ACTS, Outcome.SOMETIMES)}


def unasked_routes(app, reader):
    return {route: said for route, endpoint in routes_of(app) if (said := reader.read(endpoint)) != "asks"}


def test_every_verb_asks_before_it_acts(platform):
    assert unasked_verbs(platform, Reader()).keys() == EXCUSED_VERBS.keys()


def test_every_job_that_acts_by_itself_asks_or_is_excused(platform):
    assert unasked_jobs(platform, Reader()).keys() == EXCUSED_JOBS.keys()


def test_every_route_of_portal_and_api_asks(portal):
    assert len(list(routes_of(portal))) > 150
    assert unasked_routes(portal, Reader()).keys() == EXCUSED_ROUTES.keys()


def test_every_paid_route_of_the_consumer_api_asks(consumer_app):
    assert unasked_routes(consumer_app, Reader()).keys() == EXCUSED_CALLS.keys()


def test_every_verb_of_a_workspaces_socket_asks(platform):
    asked = [name for name, _ in inspect.getmembers(Verbs, inspect.isfunction) if not name.startswith("_")]
    reader = Reader()
    assert {name for name in asked if reader.read(getattr(platform.verbs, name)) == "asks"} == {
        "datasets", "status", "budget", "dp", "check", "submit", "require",
    }  # fmt: skip
    assert set(asked) == {"datasets", "status", "budget", "dp", "check", "submit", "require"}


def test_the_reader_finds_everything_where_nothing_counts_as_asking(platform, portal):
    blind = Reader(asking=frozenset())
    every = {name for _, room in rooms_of(platform) for name, _ in verbs_of(room)}
    assert unasked_verbs(platform, blind).keys() == every
    assert unasked_routes(portal, blind).keys() == {route for route, _ in routes_of(portal)}


class Planted:
    """Verbs as they must not be, and the ways in which they might hide it."""

    def __init__(self, database, policies):
        self._database = database
        self._policies = policies

    def good(self, actor):
        with self._database.work(actor) as work:
            self._check(actor)
            work.emit("grant:suspend", "grt_1", "suspended")

    def unasked(self, actor):
        with self._database.work(actor) as work:
            work.emit("grant:suspend", "grt_1", "suspended")

    def reads_unasked(self, actor):
        with self._database.read() as work:
            return work.list(GRANTS)

    def asks_too_late(self, actor):
        with self._database.work(actor) as work:
            work.emit("grant:suspend", "grt_1", "suspended")
            self._check(actor)

    def asks_on_one_way(self, actor, quick=False):
        with self._database.work(actor) as work:
            if not quick:
                self._check(actor)
            work.emit("grant:suspend", "grt_1", "suspended")

    def hides_in_a_helper(self, actor):
        with self._database.work(actor) as work:
            self._write(work)
            self._check(actor)

    def hides_in_a_function_that_it_hands_over(self, actor):
        self._run(lambda work: work.emit("grant:suspend", "grt_1", "suspended"))

    def asks_in_a_function_that_nobody_calls(self, actor):
        def never():
            self._check(actor)

        with self._database.work(actor) as work:
            work.emit("grant:suspend", "grt_1", "suspended")
        return never

    def asks_a_stranger(self, actor, policies):
        policies.check(actor, "grant:suspend", Resource("grant"), Context(at=self._database.clock.now()))
        self.unasked(actor)

    def _write(self, work):
        work.emit("grant:suspend", "grt_1", "suspended")

    def _run(self, change):
        with self._database.work(None) as work:
            change(work)

    def _check(self, actor):
        self._policies.check(actor, "grant:suspend", Resource("grant"), Context(at=self._database.clock.now()))


def test_a_planted_verb_is_found_however_it_hides(platform):
    planted = Planted(platform.database, Policies(NoScopes()))
    reader = Reader()
    found = {name.partition(".")[2]: reader.read(verb) for name, verb in verbs_of(planted)}
    assert found.pop("good") is Outcome.ASKS
    assert found.pop("reads_unasked") is Outcome.NOTHING
    assert set(found.values()) == {Outcome.ACTS}
    assert len(found) == 7


def test_a_verb_of_a_real_service_that_stops_asking_is_found(platform):
    class Loose(type(platform.authorization)):
        def suspend(self, actor, authorization_id, reason):
            with self._database.work(actor) as work:
                work.emit("authorization:suspend", authorization_id, reason)

    loose = Loose(platform.database, platform.policies, platform.law, platform.keys)
    reader = Reader()
    assert [name for name, verb in verbs_of(loose) if reader.read(verb) != "asks"] == ["Loose.suspend"]


def test_a_planted_route_is_found_in_a_router_of_a_router(platform):
    actor = actor_dependency(platform.people)
    inner, outer, app = APIRouter(), APIRouter(), FastAPI()

    @inner.get("/grants/all")
    def every_grant(who: Actor = Depends(actor)) -> int:
        with platform.database.read() as work:
            return len(work.list(GRANTS))

    @inner.get("/grants/mine")
    def my_grants(who: Actor = Depends(actor)) -> int:
        return len(platform.authorization.list_grants(who))

    outer.include_router(inner)
    app.include_router(outer)
    ours = {route: said for route, said in unasked_routes(app, Reader()).items() if "/grants" in route}
    assert ours == {"GET /grants/all": Outcome.NOTHING}


def test_no_route_acts_as_the_platform():
    # A route that took the platform's own role would pass every question that it asks.
    root = Path(__file__).parents[3]
    folders = [*(root / "shuzha").iterdir(), *(root / "sandbox").iterdir(), *(root / "products").iterdir()]
    routes = [path for folder in folders for path in folder.glob("*routes*.py")]
    routes += [*(root / "shuzha/portal").glob("*.py"), *(root / "products/serving").glob("*.py")]
    taking = [path.name for path in routes if "platform_actor" in path.read_text("utf-8")]
    assert len(routes) > 50
    assert taking == ["index.py"], "products/serving/index.py builds indexes as a job and has no route"
