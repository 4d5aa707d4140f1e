"""Synthetic releases over real records: refused without a budget, paid for once, cut to the grant, certified."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from desensitize import synthetic as engine
from desensitize.certificate import verify
from shuzha.authorization.model import Grant
from shuzha.budgets.model import Budget, sum_spends
from shuzha.budgets.purse import ReleasePurse
from shuzha.budgets.store import BUDGETS, SPENDS
from shuzha.catalog.value_domain import ValueDomain
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotAllowed
from shuzha.releases.certificate import DATA_FILE, PLAN_FILE, verify_release
from shuzha.releases.model import Release, ReleaseKind, ReleaseState, SyntheticOptions
from shuzha.releases.synthetic import spend_of
from tests.budgets_kit import BudgetCity
from tests.releases_kit import DISTRICTS, KINDS, payments

ROOT = Path(__file__).parents[3]
DOMAINS = {
    "kind": ValueDomain(values=KINDS),
    "base": ValueDomain(edges=(0, 8_000, 16_000, 24_000)),
    "district_code": ValueDomain(values=(*DISTRICTS, "370181")),
}


@pytest.fixture
def city(tmp_path: Path) -> BudgetCity:
    return BudgetCity(tmp_path)


def options(epsilon: float = 0.5, **changes: Any) -> SyntheticOptions:
    return SyntheticOptions(epsilon, **({"method": "mst", "domains": DOMAINS} | changes))


def asked(city: BudgetCity, grant: Grant, actor: Actor | None = None, **changes: Any) -> Release:
    return city.releases.request_release(actor or city.analyst, grant.id, options(**changes))


def built(city: BudgetCity, grant: Grant, **changes: Any) -> Release:
    release = city.releases.run_build(asked(city, grant, **changes).id)
    assert release.state is ReleaseState.READY, release.reason
    return release


def data(city: BudgetCity, release: Release) -> pl.DataFrame:
    return pl.read_parquet(city.files(release) / DATA_FILE)


def budgets_of(city: BudgetCity) -> tuple[Budget, ...]:
    with city.database.read() as work:
        return work.list(BUDGETS)


def spends_of(city: BudgetCity) -> int:
    with city.database.read() as work:
        return len(work.list(SPENDS))


def test_synthetic_release_is_cut_to_the_grant_and_paid_for_once(city: BudgetCity) -> None:
    grant = city.ready(4.0)
    release = built(city, grant, epsilon=2.0)
    assert (release.kind, release.name) == (ReleaseKind.SYNTHETIC, "social_insurance_synthetic")
    frame = data(city, release)
    assert frame.columns == ["kind", "base", "paid", "district_code"]
    assert frame.height == release.rows
    # The row filter keeps pensions alone: of 200 rows nearly all say so, noise moves a few.
    assert frame.filter(pl.col("kind") == "pension").height > 0.5 * frame.height
    assert frame.schema["base"] == pl.Int64
    assert set(frame["district_code"].drop_nulls()) <= set(DOMAINS["district_code"].values)
    assert spends_of(city) == 1
    assert city.releases.run_build(release.id) == release
    assert asked(city, grant, epsilon=2.0).id == release.id
    assert spends_of(city) == 1
    tags = [one.tag for one in city.database.events_after(0) if one.subject in (release.id, spend_of(release))]
    assert tags == ["release:request", "budget:spend", "release:ready"]


def test_certificate_says_method_unit_cost_marginals_and_noisy_utility(city: BudgetCity) -> None:
    release = built(city, city.ready(4.0), rows_per_entity=2)
    certificate = json.loads(release.certificate)
    assert certificate["kind"] == "shuzha synthetic release certificate"
    assert certificate["budget"] == {"spend": spend_of(release), "seed": certificate["budget"]["seed"]}
    said = certificate["desensitization"]["done"]["synthetic"]
    assert said["method"]["name"] == "mst"
    privacy = said["privacy"]
    assert (privacy["entity"], privacy["rows_per_entity"]) == ("resident_id", 2)
    assert (privacy["epsilon"], privacy["delta"]) == (0.5, 5e-7)
    assert 0 < privacy["spent"]["rho"] <= float(budgets_of(city)[0].spent.rho)
    assert {len(one["columns"]) for one in said["utility"]["marginals"]} == {1, 2}
    assert all(0 <= one["at_most"] <= 1 for one in said["utility"]["marginals"])
    # Nothing that has no noise: neither rows and hash of the raw table nor what a scan hit in it.
    assert certificate["desensitization"]["input"] is None
    assert "hit_rate" not in release.certificate
    assert "200" not in json.dumps(said["rows"])


def test_certificate_and_files_verify_until_a_byte_changes(city: BudgetCity) -> None:
    release = built(city, city.ready(4.0))
    folder = city.files(release)
    assert city.releases.verify(city.regulator, release.id) == ()
    assert verify_release(folder, city.releases.public_key) == ()
    engines_own = json.loads(release.certificate)["desensitization"]
    checks = {one.what: one.holds for one in verify(folder / DATA_FILE, engines_own)}
    assert checks == {"rows": True, "columns": True, "content": True, "classes": None}
    again = engine.SyntheticPlan.from_toml(folder / PLAN_FILE)
    assert again.to_dict() == engines_own["done"]["plan"]
    folder.chmod(0o755)
    (folder / DATA_FILE).chmod(0o644)
    (folder / DATA_FILE).write_bytes(b"other")
    assert city.releases.verify(city.regulator, release.id) == (f"`{DATA_FILE}` is not the file that was certified",)


def test_no_raw_identifier_stands_in_any_byte(city: BudgetCity) -> None:
    raw = payments()
    release = built(city, city.ready(4.0))
    read = b"".join(path.read_bytes() for path in city.files(release).iterdir())
    plain = data(city, release).write_csv().encode() + read
    for column in ("resident_id", "name", "employer"):
        assert not [value for value in raw[column].unique() if value.encode() in plain]


@pytest.mark.parametrize(("epsilon", "delta", "said"), [(None, 0.0, "no privacy budget"), (4.0, 0.0, "has no delta")])
def test_request_refuses_without_a_budget_that_counts_it(
    city: BudgetCity, epsilon: float | None, delta: float, said: str
) -> None:
    grant = city.ready(epsilon, delta)
    with pytest.raises(NotAllowed, match=said) as caught:
        asked(city, grant)
    assert caught.value.accepted
    assert city.releases.list_releases(city.analyst) == ()


def test_request_refuses_what_does_not_fit_and_says_what_would(city: BudgetCity) -> None:
    grant = city.ready(1.0)
    with pytest.raises(NotAllowed, match="does not allow"):
        asked(city, grant, epsilon=1.5)
    left = ReleasePurse(city.database, city.budgets).left_epsilon(grant.entry, grant.authorization)
    assert left is not None
    assert left == pytest.approx(1.0, rel=1e-3)
    built(city, grant, epsilon=left)
    assert ReleasePurse(city.database, city.budgets).left_epsilon(grant.entry, grant.authorization) < 0.01
    with pytest.raises(NotAllowed, match="does not allow"):
        asked(city, grant, epsilon=0.1)
    assert spends_of(city) == 1


def test_two_units_share_the_cap_and_the_slower_build_fails_unpaid(city: BudgetCity) -> None:
    """Both are asked for while the budget holds one of them: the worker debits the first and refuses the second."""
    grant = city.ready(1.0)
    other = city.grant(city.authorize(city.entry_of(grant)), city.entry_of(grant), columns=("resident_id", "kind"))
    first = asked(city, grant, epsilon=0.8)
    second = city.releases.request_release(city.analyst, other.id, options(0.8, domains={"kind": DOMAINS["kind"]}))
    assert city.releases.run_build(first.id).state is ReleaseState.READY
    refused = city.releases.run_build(second.id)
    assert refused.state is ReleaseState.FAILED
    assert "does not allow" in refused.reason
    assert not city.files(refused).exists()
    assert spends_of(city) == 1


def test_share_of_an_authorization_holds(city: BudgetCity) -> None:
    grant = city.ready(2.0)
    city.cap(city.entry_of(grant), 0.3, 1e-6, grant.authorization)
    with pytest.raises(NotAllowed, match=grant.authorization):
        asked(city, grant, epsilon=0.5)
    built(city, grant, epsilon=0.25)
    with city.database.read() as work:
        spent = sum_spends(work.list(SPENDS))
    assert {one.spent for one in budgets_of(city)} == {spent}


KILLED = """
import datetime as dt, os, signal, sys
from pathlib import Path

from desensitize.synthetic import SyntheticRelease
from policies import Policies
from shuzha.authorization.service import GrantScopes
from shuzha.budgets.purse import ReleasePurse
from shuzha.budgets.service import BudgetService
from shuzha.catalog.lake import RawZone
from shuzha.core.clock import FixedClock
from shuzha.core.keys import KeyRing
from shuzha.core.work import Database
from shuzha.releases.build import ReleaseBuilder
from shuzha.releases.model import RiskPolicy
from shuzha.releases.service import ReleaseService

SyntheticRelease.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
folder, clock = Path(sys.argv[1]), FixedClock(dt.datetime.fromisoformat(sys.argv[3]))
database, keys = Database(f"sqlite:///{folder}/records.db", clock), KeyRing.create(folder / "keys")
policies = Policies(GrantScopes(database))
purse = ReleasePurse(database, BudgetService(database, policies))
builder = ReleaseBuilder(folder / "releases", RawZone(folder / "raw"), keys, RiskPolicy(), purse)
print(ReleaseService(database, policies, keys, builder, purse).run_build(sys.argv[2]).reason)
"""


def test_killed_worker_resumes_without_paying_again(city: BudgetCity) -> None:
    """It is killed after the debit was stored and before anything was published; the next one takes it up."""
    grant = city.ready(1.0)
    release = asked(city, grant, epsilon=0.8)
    command = [sys.executable, "-c", KILLED, str(city.folder), release.id, city.clock.now().isoformat()]
    ended = subprocess.run(command, cwd=ROOT, check=False, timeout=120, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr
    assert spends_of(city) == 1
    assert not city.files(release).exists()
    assert city.releases.list_unfinished() == (release.id,)
    done = city.releases.run_build(release.id)
    assert done.state is ReleaseState.READY, done.reason
    assert city.releases.list_unfinished() == ()
    assert spends_of(city) == 1
    assert budgets_of(city)[0].answers == 1


def test_failure_after_payment_is_not_refunded_and_says_nothing(
    city: BudgetCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = city.ready(4.0)
    broken = pl.LazyFrame({"resident_id": ["a", "b"], "kind": ["pension", "pension"], "base": ["1", "many"]})
    typed = pl.col("base").cast(pl.Int64), pl.lit(value=True).alias("paid"), pl.lit("370102").alias("district_code")
    frame = broken.with_columns(typed)
    monkeypatch.setattr(type(city.zone), "scan", lambda *_: frame)
    failed = city.releases.run_build(asked(city, grant).id)
    assert failed.state is ReleaseState.FAILED
    assert failed.reason.startswith("cannot synthesize entry 2020101")
    assert "many" not in failed.reason
    assert spends_of(city) == 1


def test_values_outside_their_domain_never_refuse_a_row(city: BudgetCity) -> None:
    """Whether a table fits its domain would tell of the data: strangers become missing, nobody's rows stay away."""
    place = pl.int_range(pl.len())
    odd = payments(60).with_columns(
        pl.when(place % 7 == 0).then(pl.lit("elsewhere")).otherwise("district_code").alias("district_code"),
        pl.when(place % 5 == 0).then(None).otherwise("base").alias("base"),
        pl.when(place % 11 == 0).then(None).otherwise("resident_id").alias("resident_id"),
    )
    entry = city.filled(odd)
    grant = city.grant(city.authorize(entry), entry, columns=("base", "district_code", "paid"), row_filter=())
    city.cap(entry, 50.0)
    domains = {name: DOMAINS[name] for name in ("base", "district_code")}
    release = built(city, grant, epsilon=20.0, domains=domains)
    frame = data(city, release)
    assert frame["district_code"].null_count() > 0
    assert frame["base"].null_count() > 0
    assert "elsewhere" not in frame["district_code"].to_list()


@pytest.mark.parametrize(
    ("changes", "said", "accepted"),
    [
        ({"domains": {}}, "may hold", "values ="),
        ({"domains": {"kind": DOMAINS["kind"]}}, "`base`", "edges that rise"),
        ({"domains": DOMAINS | {"resident_id": ValueDomain(values=("a",))}}, "`resident_id`", "kind, base"),
        ({"domains": DOMAINS | {"base": ValueDomain(values=("a",))}}, "`base`", "edges that rise"),
        ({"domains": DOMAINS | {"base": ValueDomain()}}, "says nothing", "edges that rise"),
        ({"domains": DOMAINS | {"base": ValueDomain(edges=(5, 1))}}, "rise", "edges that rise"),
        ({"domains": DOMAINS | {"kind": ValueDomain(regions="999999")}}, "`kind`", "regions"),
        ({"without": ("kind", "base", "paid", "district_code"), "domains": {}}, "no column is left", "kind, base"),
        ({"without": ("secret",)}, "`secret`", "kind, base"),
        ({"method": "copy"}, "method", "aim"),
        ({"rows_per_entity": 0}, "out of range", "1 to 1,000"),
        ({"epsilon": 0.0}, "epsilon", "at least 0.01"),
        ({"epsilon": 1e-300}, "epsilon", "at least 0.01"),
        ({"epsilon": float("inf")}, "epsilon", "at least 0.01"),
        ({"epsilon": float("nan")}, "epsilon", "at least 0.01"),
    ],
)  # fmt: skip
def test_request_refuses_a_senseless_plan(city: BudgetCity, changes: dict[str, Any], said: str, accepted: str) -> None:
    grant = city.ready(4.0)
    with pytest.raises(Invalid, match=said) as caught:
        asked(city, grant, **changes)
    assert any(part in (caught.value.accepted or "") for part in accepted.split("|")), caught.value.accepted
    assert spends_of(city) == 0


def test_domains_of_the_sheet_are_used_and_columns_left_out(city: BudgetCity) -> None:
    grant = city.ready(4.0)
    entry = city.entry_of(grant)
    elements = tuple(replace(each, domain=DOMAINS.get(each.name)) for each in entry.sheet.elements)
    city.change_entry(entry, sheet=entry.sheet.with_elements(elements))
    release = built(city, grant, domains={}, without=("base",))
    assert release.columns == ("kind", "paid", "district_code")


def test_entry_without_an_entity_key_is_refused(city: BudgetCity) -> None:
    entry = city.ingest(city.add_entry("2020102", entity_key=None), payments())
    grant = city.grant(city.authorize(entry), entry)
    with pytest.raises((Invalid, NotAllowed)):
        asked(city, grant)


def test_both_kinds_stand_beside_each_other_and_only_rows_are_joined(city: BudgetCity) -> None:
    grant = city.ready(4.0)
    rows = city.built(grant)
    made = built(city, grant)
    assert {one.name for one in city.releases.list_releases(city.analyst, grant=grant.id)} == {rows.name, made.name}
    city.ingest(city.entry_of(grant), payments(150, seed=6), "bat_2")
    later = json.loads(city.built(grant).certificate)
    assert later["joined"]["releases"][1:] == [rows.id]


def test_other_units_and_suspended_grants_are_refused(city: BudgetCity) -> None:
    grant = city.ready(4.0)
    for actor in (city.rival, city.provider, city.authority, city.regulator):
        with pytest.raises(NotAllowed):
            asked(city, grant, actor)
    waiting = asked(city, grant)
    city.service.suspend(city.authority, grant.authorization, "an inquiry")
    city.policies.forget(grant.authorization)
    with pytest.raises(NotAllowed):
        asked(city, grant, epsilon=0.1)
    assert city.releases.run_build(waiting.id).state is ReleaseState.FAILED
    assert spends_of(city) == 0
