"""An authorization with a release, a workspace, a product and two months of use is left, and the end is proved."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from products.consumers.model import KeyState
from products.consumers.store import KEYS
from products.registry.codes import ProductKind
from products.registry.model import ProductState
from products.registry.store import PRODUCTS
from products.serving.places import index_folder
from sandbox.airlock.model import ExportState
from sandbox.airlock.store import EXPORTS
from sandbox.workspaces.model import WorkspaceState
from sandbox.workspaces.store import WORKSPACES
from shuzha.authorization.store import GRANTS
from shuzha.core.clock import end_of_day
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound
from shuzha.core.outbox import Follower
from shuzha.core.work import Event
from shuzha.exits.certificate import verify_bundle
from shuzha.exits.model import Cause, Exit, ExitState
from shuzha.exits.store import EXITS
from shuzha.ledger.reader import LogReader
from shuzha.ledger.verify import BadInput
from shuzha.releases.model import ReleaseState
from shuzha.releases.store import RELEASES
from shuzha.server.subscriptions import cache_handlers, job_handlers, register_jobs, suspension_handlers
from tests.portal_kit import PortalCity

SAID = ("all delisted; the bank was told", "one bank; its contract ends", "none")


@dataclass
class Left:
    """A city whose one authorization was terminated, and what was seen on the way."""

    city: PortalCity
    authorization: str
    grant: str
    product: str
    key: str
    release: str
    workspace: str
    states: list[ExitState]
    waited: list[str]
    bundle: bytes = b""

    @property
    def exit(self) -> Exit:
        (found,) = self.city.platform.exits.list_exits(self.city.people["authority"])
        return found

    @property
    def log_key(self) -> str:
        reader = LogReader(self.city.platform.settings.folder("logs") / "audit")
        try:
            return reader.key.line()
        finally:
            reader.close()

    def check(self, content: bytes) -> tuple[str, ...]:
        return verify_bundle(content, log_key=self.log_key, platform_key=self.city.platform.exits.public_key.hex())


def deliver(city: PortalCity) -> None:
    """Let the worker's own subscribers hear everything that is new; what they ask of the queue waits there."""
    register_jobs(city.platform)
    for name, handlers in (
        ("cache", cache_handlers(city.platform.policies)),
        ("suspension", suspension_handlers(city.platform)),
        ("jobs", job_handlers(city.platform)),
    ):
        follower = Follower(city.platform.database, handlers, durable_name=name)
        while follower.step():
            pass


def lead_out(folder) -> Left:
    city = PortalCity(folder)
    people, platform = city.people, city.platform
    entry = city.entry()
    city.fill(entry)
    authorization = city.authorize(entry)
    demand = city.demand(authorization, entry, "贷前核验")
    release, workspace = city.release(demand), city.workspace(demand)
    product = city.product(
        city.export(workspace), "insured", ProductKind.VERIFICATION, "社保参保核验", "Insurance check"
    )
    key = city.key(product)
    city.use(product, key, 40, city.today)
    city.advance((city.today.replace(day=1) + dt.timedelta(days=31)).replace(day=1))
    city.use(product, key, 31, city.today)
    city.use(product, key, 12, city.today, waived=True)
    deliver(city)
    left = Left(city, authorization.id, demand.grant, product.id, key.key.id, release.id, workspace.id, [], [])
    platform.authorization.terminate(people["authority"], authorization.id, "逾期未整改 not corrected (J23 art. 14)")
    deliver(city)
    left.states.append(left.exit.state)
    platform.exits.carry_on()
    left.states.append(left.exit.state)
    platform.exits.hand_over(people["operator"], left.exit.id, *SAID)
    platform.exits.carry_on()
    left.states.append(left.exit.state)
    left.waited.append(left.exit.waiting)
    city.advance((city.today.replace(day=1) + dt.timedelta(days=31)).replace(day=1))
    platform.exits.carry_on()
    left.states.append(left.exit.state)
    platform.exits.close(people["authority"], left.exit.id, "everything was seen to be gone")
    left.states.append(left.exit.state)
    city.audit()
    left.bundle = platform.exits.bundle(people["regulator"], left.exit.id)
    return left


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    return lead_out(tmp_path_factory.mktemp("exit"))


def test_an_exit_goes_its_five_steps_and_each_waits_for_whose_turn_it_is(left):
    assert left.states == [
        ExitState.OPENED, ExitState.FROZEN, ExitState.DESTROYED, ExitState.SETTLED, ExitState.CLOSED,
    ]  # fmt: skip
    assert left.exit.cause is Cause.TERMINATED
    assert "is not over" in left.waited[0]


def test_nothing_of_it_is_left_in_the_records_nor_on_the_disk(left):
    platform = left.city.platform
    with platform.database.read() as work:
        assert work.get(PRODUCTS, left.product).state is ProductState.DELISTED
        assert work.get(KEYS, left.key).state is KeyState.REVOKED
        assert work.get(WORKSPACES, left.workspace).state is WorkspaceState.CLOSED
        release, grant = work.get(RELEASES, left.release), work.get(GRANTS, left.grant)
    assert release.state is ReleaseState.DESTROYED
    assert not platform.releases.path(release).exists()
    assert not index_folder(platform.settings.folder("products"), left.product).exists()
    with pytest.raises(NotFound, match="destroyed"):
        platform.keys.scenario_key(left.authorization, grant.demand, "pseudonyms")


def test_the_final_settlement_is_the_months_statements_and_adds_up(left):
    settled = left.exit.settled
    assert len(settled) == 2
    assert settled[1].waived_fen > 0
    assert sum(one.due_fen for one in settled) == sum(sum(one.shares.values()) for one in settled) > 0
    stored = left.city.platform.settlement.list_statements(left.city.people["regulator"])
    assert {one.digest for one in settled} <= {one.digest for one in stored}


def test_the_certificate_names_each_thing_that_is_gone_and_who_signed(left):
    certificate = json.loads(left.exit.certificate)
    gone = {one["kind"]: one["id"] for one in certificate["destroyed"]}
    assert gone["release"] == left.release
    assert gone["home"] == left.workspace
    assert gone["consumer key"] == left.key
    assert set(gone) == {"release", "home", "scenario key", "index", "consumer key"}
    assert [one.party for one in left.exit.signatures] == ["platform", left.exit.authority]


def test_the_bundle_is_verified_offline(left):
    assert left.check(left.bundle) == ()


def changed(bundle: bytes, change) -> bytes:
    found = json.loads(bundle)
    change(found)
    return json.dumps(found).encode()


def in_certificate(change):
    def apply(bundle):
        certificate = json.loads(bundle["certificate"])
        change(certificate)
        bundle["certificate"] = json.dumps(certificate)

    return apply


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (in_certificate(lambda found: found["destroyed"].pop()), "signature"),
        (in_certificate(lambda found: found.update(due_fen=1)), "does not add up"),
        (in_certificate(lambda found: found.update(type="another/1")), "another type"),
        (in_certificate(lambda found: found.update(certified_at="2020-01-01T00:00:00Z")), "not in their order"),
        (lambda bundle: bundle["signatures"].pop(0), "platform's signature is missing"),
        (lambda bundle: bundle["signatures"].pop(1), "authority has not signed"),
        (lambda bundle: bundle["proofs"].popitem(), "no proven act"),
        (lambda bundle: bundle["proofs"].clear(), "no proven act closed"),
        (lambda bundle: next(iter(bundle["proofs"].values())).update(index=0), "the proof of act"),
        (lambda bundle: next(iter(bundle["proofs"].values())).update(body='{"salt":"0","payload":{}}'), "the proof of"),
    ],
)  # fmt: skip
def test_a_bundle_that_was_changed_is_found_out(left, change, why):
    assert any(why in one for one in left.check(changed(left.bundle, change)))


def signed_anew(left: Left, bundle, text: str):
    """Sign a changed certificate with the platform's and the authority's own keys, as the platform itself could."""
    keys, authority = left.city.platform.keys, left.exit.authority
    names = {"platform": "exit-certificates", authority: f"organisation:{authority}"}
    bundle["certificate"] = text
    for one in bundle["signatures"]:
        one["value"] = keys.signing_key(names[one["party"]]).sign(text.encode()).hex()


def test_nobody_signs_in_the_authoritys_stead(left):
    def sign_as_a_stranger(bundle):
        key = Ed25519PrivateKey.generate()
        one = bundle["signatures"][1]
        assert one["party"] == left.exit.authority
        one |= {
            "key": key.public_key().public_bytes_raw().hex(),
            "value": key.sign(bundle["certificate"].encode()).hex(),
        }

    assert left.check(changed(left.bundle, sign_as_a_stranger)) == ("the authority has not signed with its own key",)


def test_an_act_that_destroyed_nothing_proves_no_destruction(left):
    platform, wrong = left.city.platform, {}

    def cite(tag, subject):
        def change(bundle):
            event = platform.database.find_event(tag, subject)
            certificate = json.loads(bundle["certificate"])
            (one,) = [one for one in certificate["destroyed"] if one["kind"] == "release"]
            one["event"] = event
            reader = LogReader(platform.settings.folder("logs") / "audit")
            bundle["proofs"][event] = platform.exits._parts.prove(event).document()
            reader.close()
            signed_anew(left, bundle, json.dumps(certificate))

        return left.check(changed(left.bundle, change))

    wrong = {tag: cite(tag, subject) for tag, subject in (("release:ready", left.release), ("exit:open", left.exit.id))}
    for said in wrong.values():
        assert f"no proven act destroyed the release {left.release}" in said
    assert not any("destroyed the release" in one for one in cite("release:destroy", left.release))


def test_a_bundle_of_another_platform_or_no_bundle_is_found_out(left):
    foreign = verify_bundle(left.bundle, log_key=left.log_key, platform_key="00" * 32)
    assert foreign == ("the platform's signature is missing or of another key than the one kept",)
    for content in (b"", b"{}", b"[]", b'{"certificate": "{}", "signatures": [], "proofs": {}}'):
        with pytest.raises(BadInput):
            left.check(content)


def test_a_closed_exit_bears_every_event_and_every_tick_again(left):
    before = left.exit
    event = Event(
        1, "evt", "authorization:terminate", left.authorization, {}, "", "", None, "", dt.datetime.now(dt.UTC), "", ""
    )
    left.city.platform.exits.follow(event)
    assert left.city.platform.exits.carry_on() == ()
    assert left.exit == before


def test_only_those_whom_it_concerns_see_it(left):
    exits, people = left.city.platform.exits, left.city.people
    for login in ("operator", "authority", "regulator", "provider"):
        assert exits.get_exit(people[login], left.exit.id)
    provider = replace(people["provider"], organisation="org_elsewhere")
    assert exits.list_exits(provider) == ()
    for login in ("consumer", "analyst", "registry"):
        assert exits.list_exits(people[login]) == ()
        with pytest.raises(NotFound):
            exits.bundle(people[login], left.exit.id)


@pytest.fixture
def ended(tmp_path):
    """An authorization that the unit gave up before it had a release."""
    city = PortalCity(tmp_path)
    authorization = city.authorize(city.entry())
    with city.platform.database.read() as work:
        entry = authorization.agreement.entries[0]
        assert work.list(GRANTS) == ()
    city.demand(authorization, city.platform.catalog.get_entry(city.people["provider"], entry), "贷前核验")
    city.platform.authorization.withdraw(city.people["operator"], authorization.id, "voluntary exit")
    deliver(city)
    city.platform.exits.carry_on()
    return city


def test_exports_stay_held_while_the_authorization_is_suspended_whatever_hold_is_lifted(tmp_path):
    city = PortalCity(tmp_path)
    entry = city.entry()
    city.fill(entry)
    authorization = city.authorize(entry)
    demand = city.demand(authorization, entry, "贷前核验")
    city.release(demand)
    request = city.export(city.workspace(demand), upto="screen")
    service, authority = city.platform.authorization, city.people["authority"]

    def tell(tag: str) -> ExportState:
        with city.platform.database.work(authority) as work:
            work.emit(tag, "rec_1", tag, data={"authorization": authorization.id, "reason": "late report"})
        deliver(city)
        return state()

    def state() -> ExportState:
        deliver(city)
        with city.platform.database.read() as work:
            return work.get(EXPORTS, request.id).state

    before = state()
    assert tell("rectification:order") is ExportState.HELD
    service.suspend(authority, authorization.id, "a complaint")
    assert tell("rectification:pass") is ExportState.HELD, "it is suspended still"
    service.restore(authority, authorization.id, "nothing was found")
    assert state() is before
    service.suspend_grant(authority, demand.grant, "a complaint about the grant")
    assert tell("rectification:order") is ExportState.HELD
    assert tell("rectification:pass") is before


def the_exit(city: PortalCity) -> Exit:
    (found,) = city.platform.exits.list_exits(city.people["authority"])
    return found


def test_a_voluntary_exit_opens_by_itself_and_freezes(ended):
    found = the_exit(ended)
    assert (found.cause, found.state) == (Cause.WITHDRAWN, ExitState.FROZEN)
    assert found.due is not None


def test_an_application_that_is_withdrawn_was_never_in_force_and_has_no_exit(tmp_path):
    city = PortalCity(tmp_path)
    found = city.authorize(city.entry(), upto="review")
    city.platform.authorization.withdraw(city.people["operator"], found.id, "changed our minds")
    deliver(city)
    assert city.platform.exits.list_exits(city.people["authority"]) == ()


def test_the_authority_hands_over_in_the_units_stead_only_once_its_day_has_passed(ended):
    exits, authority, found = ended.platform.exits, ended.people["authority"], the_exit(ended)
    with pytest.raises(NotAllowed, match="until its day has passed"):
        exits.hand_over(authority, found.id, *SAID)
    clock = ended.platform.clock
    clock.advance(end_of_day(found.due) - clock.now() - dt.timedelta(seconds=30))
    with pytest.raises(NotAllowed, match="until its day has passed"):
        exits.hand_over(authority, found.id, *SAID)
    clock.advance(dt.timedelta(seconds=31))
    done = exits.hand_over(authority, found.id, *SAID)
    assert done.hand_over.substituted


def test_a_hand_over_leaves_nothing_out_and_is_nobody_elses(ended):
    exits, found = ended.platform.exits, the_exit(ended)
    with pytest.raises(Invalid, match="customers"):
        exits.hand_over(ended.people["operator"], found.id, "none", " ", "none")
    with pytest.raises(NotAllowed):
        exits.hand_over(ended.people["regulator"], found.id, *SAID)
    with pytest.raises(Conflict):
        exits.bundle(ended.people["authority"], found.id)


def test_a_folder_that_cannot_be_removed_keeps_the_exit_from_saying_so(ended):
    exits, found = ended.platform.exits, the_exit(ended)
    demand = found.frozen.grants[0]
    with ended.platform.database.read() as work:
        demand = work.get(GRANTS, found.frozen.grants[0]).demand
    ended.platform.keys.scenario_key  # noqa: B018 - named for the reader: its salt is what must go.
    salt = ended.platform.settings.folder("keys") / "salts" / f"{found.authorization}.{demand}"
    exits.hand_over(ended.people["operator"], found.id, *SAID)
    real = ended.platform.keys.destroy_scenario_key
    salt.parent.mkdir(parents=True, exist_ok=True)
    salt.write_bytes(b"0" * 32)
    ended.platform.keys.destroy_scenario_key = lambda *_: None
    assert exits.run(found.id).waiting == f"still there: key of {demand}"
    ended.platform.keys.destroy_scenario_key = real
    assert exits.run(found.id).state is ExitState.SETTLED


def test_events_of_an_exit_carry_the_hash_that_was_signed(left):
    with left.city.platform.database.read() as work:
        assert len(work.list(EXITS)) == 1
    events = [one for one in left.city.platform.database.events_after(0, 5000) if one.tag == "exit:close"]
    assert len(events) == 1
    assert events[0].approver == left.city.people["authority"].id
