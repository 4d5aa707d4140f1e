from __future__ import annotations

import json
import stat

import polars as pl
import pytest

from shuzha.core.conditions import Condition
from shuzha.core.errors import Invalid, NotAllowed, NotFound
from shuzha.releases.certificate import (
    CERTIFICATE_FILE,
    DATA_FILE,
    PLAN_FILE,
    SIGNATURE_FILE,
    verify_certificate,
    verify_release,
)
from shuzha.releases.model import ReleaseState, RiskPolicy
from tests.releases_kit import ReleaseCity, payments

ALL = ("resident_id", "name", "period", "kind", "employer", "base", "paid", "district_code", "note")


def data(city: ReleaseCity, release) -> pl.DataFrame:
    return pl.read_parquet(city.files(release) / DATA_FILE)


def test_builds_a_release_cut_to_the_grant(city: ReleaseCity) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry)
    release = city.built(grant)
    assert release.state is ReleaseState.READY
    assert release.name == "social_insurance"
    assert release.columns == ("resident_id", "period", "kind", "paid", "district_code")
    frame = data(city, release)
    assert frame.columns == list(release.columns)
    assert frame["kind"].unique().to_list() == ["pension"]
    assert frame.height == release.rows == 200
    assert frame["resident_id"].str.len_chars().unique().to_list() == [32]
    assert sorted(path.name for path in city.files(release).iterdir()) == sorted(
        [CERTIFICATE_FILE, DATA_FILE, PLAN_FILE, SIGNATURE_FILE]
    )


def test_no_raw_identifier_stands_in_any_byte(city: ReleaseCity) -> None:
    raw = payments()
    entry = city.filled(raw)
    grant = city.grant(city.authorize(entry), entry, columns=ALL, row_filter=())
    release = city.built(grant)
    assert release.state is ReleaseState.READY, release.reason
    read = b"".join(path.read_bytes() for path in city.files(release).iterdir())
    plain = data(city, release).write_csv().encode() + read
    for column in ("resident_id", "name", "employer", "note"):
        assert not [value for value in raw[column].drop_nulls().unique() if value.encode() in plain]
    assert b"1380000" not in plain
    assert "联系电话[手机号1]" in data(city, release)["note"].to_list()
    secret = city.keys.scenario_key(grant.authorization, grant.demand, "pseudonym")
    assert secret.hex().encode() not in plain
    assert secret not in plain


def test_a_class_of_one_is_generalized_or_left_out(city: ReleaseCity) -> None:
    raw = payments(lonely="370181")
    entry = city.filled(raw)
    release = city.built(city.grant(city.authorize(entry), entry, row_filter=()))
    sizes = data(city, release).group_by("district_code").agg(pl.col("resident_id").n_unique())["resident_id"]
    assert sizes.min() >= 3
    certificate = json.loads(release.certificate)
    assert certificate["level"] == 3
    measured = certificate["desensitization"]["measured"]
    assert measured["prosecutor"] <= 1 / 3
    assert measured["entity"] == "resident_id"
    assert measured["meets"] is True


def test_counts_people_and_not_rows(city: ReleaseCity) -> None:
    """Forty rows of one person are a class of one, also where the grant leaves the person's number out."""
    crowd = payments(lonely="370181")
    lonely = crowd.filter(pl.col("district_code") == "370181")
    entry = city.filled(pl.concat([crowd, *[lonely] * 20]))
    grant = city.grant(city.authorize(entry), entry, columns=("kind", "district_code"), row_filter=())
    release = city.built(grant)
    assert release.state is ReleaseState.READY, release.reason
    assert release.columns == ("kind", "district_code")
    assert "370181" not in data(city, release)["district_code"].to_list()


def test_two_demands_have_unrelated_pseudonyms(city: ReleaseCity) -> None:
    entry = city.filled()
    authorization = city.authorize(entry)
    first, second = (city.built(city.grant(authorization, entry)) for _ in range(2))
    one, two = (set(data(city, release)["resident_id"]) for release in (first, second))
    assert len(one) == len(two) == 200
    assert not one & two


def test_the_same_grant_is_released_once_and_again_for_new_data(city: ReleaseCity) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry)
    first = city.built(grant)
    assert city.releases.request_release(city.operator, grant.id).id == first.id
    city.ingest(entry, payments(150, seed=6), "bat_2")
    second = city.built(grant)
    assert second.id != first.id
    assert (first.raw_version, second.raw_version) == (0, 1)
    assert (first.rows, second.rows) == (200, 150)
    assert set(data(city, second)["resident_id"]) <= set(data(city, first)["resident_id"])


def test_a_release_keeps_to_the_version_it_was_asked_for(city: ReleaseCity) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry)
    asked = city.releases.request_release(city.analyst, grant.id)
    city.ingest(entry, payments(150, seed=6), "bat_2")
    assert city.releases.run_build(asked.id).rows == 200


def test_the_plan_is_shown_and_the_same_each_time(city: ReleaseCity) -> None:
    entry = city.filled()
    authorization = city.authorize(entry)
    plans = {city.built(city.grant(authorization, entry)).plan_toml for _ in range(2)}
    assert len(plans) == 1
    plan = plans.pop()
    assert 'technique = "pseudonymize"' in plan
    assert 'kind = "region"' in plan
    assert 'entity = "resident_id"' in plan


def test_nobody_can_write_into_a_release_or_list_others(city: ReleaseCity) -> None:
    entry = city.filled()
    folder = city.files(city.built(city.grant(city.authorize(entry), entry)))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o555
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o711
    assert stat.S_IMODE((folder.parent / ".building").stat().st_mode) == 0o700


def test_build_bears_a_repeat_after_a_crash_before_the_record(city: ReleaseCity) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry)
    asked = city.releases.request_release(city.analyst, grant.id)
    made = city.builder.build(asked, grant, entry, "2026-03-02T04:00:00+00:00")
    before = (made / DATA_FILE).stat().st_mtime_ns
    release = city.releases.run_build(asked.id)
    assert release.state is ReleaseState.READY
    assert (made / DATA_FILE).stat().st_mtime_ns == before
    assert city.releases.run_build(asked.id) == release
    tags = [event.tag for event in city.database.events_after(0) if event.subject == asked.id]
    assert tags == ["release:request", "release:ready"]


def test_build_sweeps_what_a_dead_worker_left(city: ReleaseCity) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry)
    asked = city.releases.request_release(city.analyst, grant.id)
    half = city.folder / "releases" / ".building" / asked.id
    half.mkdir()
    (half / "rubbish").write_text("half")
    broken = city.folder / "releases" / asked.folder
    broken.mkdir()
    (broken / DATA_FILE).write_text("broken")
    release = city.releases.run_build(asked.id)
    assert release.state is ReleaseState.READY
    assert verify_release(city.files(release), city.builder.public_key) == ()
    assert not half.exists()


def test_build_fails_with_a_reason_where_the_limits_cannot_be_met(city: ReleaseCity) -> None:
    city.use(RiskPolicy(suppression_limit=0.0))
    entry = city.filled(payments(2))
    release = city.built(city.grant(city.authorize(entry), entry))
    assert release.state is ReleaseState.FAILED
    assert "too few distinct entities" in release.reason
    assert list((city.folder / "releases").glob("rel_*")) == []
    event = city.database.events_after(0)[-1]
    assert (event.tag, event.data["release"]) == ("release:fail", release.id)
    again = city.releases.request_release(city.analyst, release.grant)
    assert again.id != release.id


def test_build_fails_where_a_granted_column_left_the_raw_data(city: ReleaseCity) -> None:
    entry = city.filled(payments().drop("paid"))
    release = city.built(city.grant(city.authorize(entry), entry))
    assert release.state is ReleaseState.FAILED
    assert "lacks `paid`" in release.reason


def test_build_fails_where_the_filter_does_not_fit_the_column(city: ReleaseCity) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry, row_filter=(Condition("base", "eq", "rich"),))
    release = city.built(grant)
    assert release.state is ReleaseState.FAILED
    assert "`base`, which is Int64" in release.reason
    assert "rich" not in release.reason


def test_request_refuses_without_force_data_or_right(city: ReleaseCity) -> None:
    entry = city.add_entry()
    authorization = city.authorize(entry)
    grant = city.grant(authorization, entry)
    with pytest.raises(Invalid, match="no raw data yet"):
        city.releases.request_release(city.analyst, grant.id)
    city.ingest(entry, payments())
    for actor in (city.rival, city.provider, city.authority):
        with pytest.raises(NotAllowed):
            city.releases.request_release(actor, grant.id)
    city.service.suspend(city.authority, authorization.id, "the report is late")
    city.policies.forget(authorization.id)
    with pytest.raises(NotAllowed, match="suspended"):
        city.releases.request_release(city.analyst, grant.id)


def test_build_refuses_an_authorization_suspended_meanwhile(city: ReleaseCity) -> None:
    entry = city.filled()
    authorization = city.authorize(entry)
    asked = city.releases.request_release(city.analyst, city.grant(authorization, entry).id)
    city.service.suspend(city.authority, authorization.id, "the report is late")
    city.policies.forget(authorization.id)
    release = city.releases.run_build(asked.id)
    assert release.state is ReleaseState.FAILED
    assert "the report is late" in release.reason


def test_one_changed_byte_breaks_the_certificate(city: ReleaseCity) -> None:
    entry = city.filled()
    release = city.built(city.grant(city.authorize(entry), entry))
    assert city.releases.verify(city.regulator, release.id) == ()
    folder = city.files(release)

    def spoil(name: str) -> tuple[str, ...]:
        path = folder / name
        whole = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
        found = city.releases.verify(city.regulator, release.id)
        path.write_bytes(whole)
        return found

    assert spoil(CERTIFICATE_FILE) == ("the signature of the certificate does not hold",)
    assert spoil(SIGNATURE_FILE) == ("the signature of the certificate does not hold",)
    assert spoil(DATA_FILE) == (f"`{DATA_FILE}` is not the file that was certified",)
    assert spoil(PLAN_FILE) == (f"`{PLAN_FILE}` is not the file that was certified",)
    assert city.releases.verify(city.regulator, release.id) == ()
    forged = release.certificate.replace('"level": 3', '"level": 4')
    assert forged != release.certificate
    assert not verify_certificate(forged.encode(), release.signature, city.builder.public_key)


def test_a_later_release_says_the_risk_of_joining_the_earlier(city: ReleaseCity) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry)
    first = json.loads(city.built(grant).certificate)
    assert first["joined"] is None
    moved = payments(200, seed=6)
    city.ingest(entry, moved, "bat_2")
    second = city.built(grant)
    joined = json.loads(second.certificate)["joined"]
    assert (joined["by"], joined["releases"][0]) == ("resident_id", second.id)
    assert joined["measured"]["people"] == joined["measured"]["shared"] == 200
    both = data(city, second).select("resident_id", "district_code").join(
        data(city, city.releases.get_release(city.analyst, joined["releases"][1])), on="resident_id", suffix="_before"
    )  # fmt: skip
    sizes = both.group_by("district_code", "district_code_before").agg(pl.col("resident_id").n_unique().alias("n"))
    assert joined["measured"]["risk"]["smallest_class"] == sizes["n"].min()
    assert joined["measured"]["risk"]["smallest_class"] < min(joined["measured"]["smallest_alone"].values())


def test_a_policy_refuses_what_is_unsafe_together(city: ReleaseCity) -> None:
    city.use(RiskPolicy(joined="refuse"))
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry)
    first = city.built(grant)
    city.ingest(entry, payments(200, seed=6), "bat_2")
    refused = city.built(grant)
    assert refused.state is ReleaseState.FAILED
    assert "together with 1 earlier releases" in refused.reason
    assert city.releases.get_release(city.analyst, first.id).state is ReleaseState.READY
    city.use(RiskPolicy())
    assert city.built(grant).state is ReleaseState.READY


def test_releases_without_a_shared_pseudonym_cannot_be_joined(city: ReleaseCity) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry, columns=("kind", "district_code"))
    city.built(grant)
    city.ingest(entry, payments(150, seed=6), "bat_2")
    joined = json.loads(city.built(grant).certificate)["joined"]
    assert (joined["by"], joined["measured"], len(joined["releases"])) == (None, None, 2)


def test_destroy_removes_files_and_with_the_last_release_the_key(city: ReleaseCity) -> None:
    entry = city.filled()
    grant = city.grant(city.authorize(entry), entry)
    first = city.built(grant)
    city.ingest(entry, payments(150, seed=6), "bat_2")
    second = city.built(grant)
    with pytest.raises(NotAllowed):
        city.releases.destroy(city.analyst, first.id, "old")
    city.releases.destroy(city.authority, first.id, "replaced")
    assert not city.files(first).exists()
    assert city.keys.scenario_key(grant.authorization, grant.demand, "pseudonym")
    assert city.releases.verify(city.regulator, second.id) == ()
    assert [one.id for one in city.releases.destroy_all(city.platform, grant.id, "exit")] == [second.id]
    with pytest.raises(NotFound, match="was destroyed"):
        city.keys.scenario_key(grant.authorization, grant.demand, "pseudonym")
    city.releases.run_destroy(second.id)
    again = city.built(grant)
    assert again.state is ReleaseState.FAILED
    assert "was destroyed" in again.reason
    event = next(e for e in city.database.events_after(0) if e.tag == "release:destroy" and e.subject == second.id)
    assert event.data["key_destroyed"] is True


def test_a_rival_sees_no_release(city: ReleaseCity) -> None:
    entry = city.filled()
    release = city.built(city.grant(city.authorize(entry), entry))
    assert city.releases.list_releases(city.rival) == ()
    with pytest.raises(NotFound):
        city.releases.get_release(city.rival, release.id)
    for actor in (city.analyst, city.operator, city.provider, city.authority, city.regulator):
        assert city.releases.list_releases(actor, grant=release.grant) == (release,)
