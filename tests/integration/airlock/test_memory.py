"""The differencing memory in the way of a request: across people, units, versions and requests side by side."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest

from sandbox.airlock.memory.identity import PlatformIdentities
from sandbox.airlock.memory.population import ENTITY, HASH
from sandbox.airlock.memory.records import KEPT
from sandbox.airlock.model import Choice, ExportRequest, ExportState
from shuzha.authorization.model import Grant
from shuzha.catalog.model import Entry
from shuzha.catalog.store import ENTRIES
from shuzha.core.errors import Invalid, NotAllowed
from tests.airlock_kit import TABLE, VERIFICATION, AirlockCity
from tests.releases_kit import payments

FEW = TABLE.replace("aggregate=", 'where=[("kind", "==", "pension"), ("base", ">=", 4600)], aggregate=')


def screened(city: AirlockCity, *cells: str) -> ExportRequest:
    _, release = city.ready()
    return city.airlock.process(city.airlock.submit(city.analyst, city.submission(release, *cells)).id)


def approved(city: AirlockCity, request: ExportRequest) -> ExportRequest:
    city.airlock.vote(city.checker, request.id, Choice.APPROVE, "counts are large")
    return city.airlock.vote(city.second, request.id, Choice.APPROVE, "I looked at each cell")


def entry_of(city: AirlockCity, grant: Grant) -> Entry:
    with city.database.read() as work:
        return work.get(ENTRIES, grant.entry)


def blocked(request: ExportRequest) -> set[str]:
    return {finding.rule for finding in request.findings if finding.severity == "block"}


def test_what_left_is_kept_and_stands_in_the_way_also_when_recalled(city: AirlockCity) -> None:
    first = city.airlock.finish(approved(city, screened(city, TABLE, VERIFICATION)).id)
    assert first.state is ExportState.RELEASED
    kept = city.memory.list_kept(first.files[0].entry)
    assert [(one.file, one.form, one.entities) for one in kept] == [
        ("by_district", "table", 600), ("insured", "verification", kept[1].entities),
    ]  # fmt: skip
    assert screened(city, TABLE).state is ExportState.SCREENED
    city.airlock.recall(city.authority, first.id, "an error was found")
    second = screened(city, FEW)
    assert (second.state, blocked(second)) == (ExportState.RETURNED, {"differencing"})
    assert "blocked by differencing" in second.reason


def test_two_requests_that_were_reviewed_side_by_side_cannot_both_leave(city: AirlockCity) -> None:
    first, second = screened(city, TABLE), screened(city, FEW)
    assert first.state is second.state is ExportState.SCREENED
    first, second = approved(city, first), approved(city, second)
    assert city.airlock.finish(first.id).state is ExportState.RELEASED
    second = city.airlock.finish(second.id)
    assert (second.state, blocked(second), second.record) == (ExportState.RETURNED, {"differencing"}, "")
    assert [one.export for one in city.memory.list_kept(first.files[0].entry)] == [first.id]
    again = city.airlock.resubmit(city.analyst, second.id, city.submission(city.ready()[1], TABLE))
    assert city.airlock.process(again.id).state is ExportState.SCREENED


def test_reviewers_read_what_the_author_is_not_told(city: AirlockCity) -> None:
    first = city.airlock.finish(approved(city, screened(city, TABLE)).id)
    with city.database.work(city.platform) as work:
        (kept,) = work.list(KEPT)
    second = screened(city, FEW)
    told = [finding for finding in second.findings if finding.rule == "differencing"]
    assert all(finding.figure is not None and finding.figure < 10 for finding in told)
    assert any(finding.cell == {"district_code": "370103"} for finding in told)
    assert not any(secret in str(second.findings) for secret in (kept.id, first.id))
    evidence = json.loads(city.airlock.read_evidence(city.checker, second.id, "by_district"))["differencing"]
    assert {each["earlier"][0]["export"] for each in evidence} == {first.id}
    assert {each["earlier"][0]["organisation"] for each in evidence} == {"org_operator"}
    with pytest.raises(NotAllowed):
        city.airlock.read_evidence(city.analyst, second.id, "by_district")


@pytest.mark.boundary(
    rule="differencing_later", passes="a submission: outputs of all units are compared",
    fails="advice: those of the own unit alone, and a note says so",
)  # fmt: skip
def test_another_units_output_stands_in_the_way_and_is_not_told(city: AirlockCity) -> None:
    city.airlock.finish(approved(city, screened(city, TABLE)).id)
    with city.database.work(city.platform) as work:
        (kept,) = work.list(KEPT)
        work.save(KEPT, replace(kept, organisation="org_rival"))
    second = screened(city, FEW)
    told = [finding for finding in second.findings if finding.rule == "differencing"]
    assert told
    assert {(finding.figure, finding.place) for finding in told} == {(None, "an output that left before")}
    assert not any(secret in str(second.findings) for secret in ("org_rival", kept.id, kept.export))
    # Advice may be asked for without end: it speaks of the own unit's outputs alone.
    asked = city.submission(city.ready()[1], notebook=b"")
    few = {
        "kind": "table", "release": "social_insurance", "rows": ["district_code"], "aggregate": "entities",
        "where": [{"column": "kind", "op": "eq", "value": "pension"}, {"column": "base", "op": "ge", "value": 4600}],
    }  # fmt: skip
    advice = city.airlock.check(city.analyst, asked, few)
    assert (advice["verdict"], [one["rule"] for one in advice["findings"]]) == ("pass", ["differencing_later"])
    with city.database.work(city.platform) as work:
        work.save(KEPT, replace(work.get(KEPT, kept.id), organisation="org_operator"))
    assert city.airlock.check(city.analyst, asked, few)["verdict"] == "block"


def test_a_comparison_that_fails_blocks(city: AirlockCity) -> None:
    city.airlock.finish(approved(city, screened(city, TABLE)).id)
    third = approved(city, screened(city, TABLE))
    for path in (city.folder / "raw" / "memory").rglob("*.parquet"):
        path.write_bytes(b"")
    second = screened(city, TABLE)
    assert (second.state, blocked(second)) == (ExportState.RETURNED, {"checker_failed"})
    with pytest.raises(Invalid):
        city.airlock.finish(third.id)
    assert city.airlock.get_export(city.checker, third.id).state is ExportState.APPROVED


def test_a_screener_without_a_memory_blocks(city: AirlockCity) -> None:
    _, release = city.ready()
    city.airlock._parts.screener._memory = None
    request = city.airlock.process(city.airlock.submit(city.analyst, city.submission(release, TABLE)).id)
    assert blocked(request) == {"checker_failed"}


def test_pseudonyms_of_two_scenarios_lead_to_the_same_entities(city: AirlockCity) -> None:
    """No pseudonym of one release is in the other; behind each stands the same keyed hash, and nothing is written."""
    grant, release = city.ready()
    demand = city.demand(city.service.get_authorization(city.authority, grant.authorization), entry_of(city, grant))
    other = city.built(city.service.grant_demand(city.provider, demand.id, "within the agreement"))
    identities = PlatformIdentities(city.database, city.zone, city.keys)
    inputs = city.airlock._parts.screener.inputs
    one, two = (identities.of_release(inputs.release(each.id)).collect() for each in (release, other))
    assert set(one[ENTITY]).isdisjoint(two[ENTITY])
    assert one[HASH].n_unique() == 600
    assert set(one[HASH]) == set(two[HASH])
    raw = identities.of_entry(inputs.entry(release.id)).collect()
    assert set(raw[HASH]) == set(one[HASH])
    assert raw.join(one, on=HASH).filter(pl.col(ENTITY) == pl.col(f"{ENTITY}_right")).is_empty()


def test_the_memory_holds_nothing_that_names_anybody(city: AirlockCity) -> None:
    city.airlock.finish(approved(city, screened(city, TABLE, VERIFICATION)).id)
    _, release = city.ready()
    pseudonym = pl.read_parquet(city.files(release) / "data.parquet")["resident_id"][0]
    raw = payments(600)["resident_id"][0]
    files = [path for path in (city.folder / "raw" / "memory").rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert (city.folder / "raw" / "memory").stat().st_mode & 0o777 == 0o700
    for path in files:
        assert path.stat().st_mode & 0o777 == 0o600
        content = path.read_bytes()
        assert raw.encode() not in content
        assert pseudonym.encode() not in content
        if path.suffix == ".parquet":
            assert pl.read_parquet(path).schema.dtypes() == [pl.UInt8, pl.UInt16, pl.UInt16]


def test_a_new_version_with_a_few_more_people_is_held_back(city: AirlockCity) -> None:
    city.airlock.finish(approved(city, screened(city, TABLE)).id)
    grant, _ = city.ready()
    city.ingest(entry_of(city, grant), payments(604), "bat_more")
    fresh = city.built(grant)
    request = city.airlock.process(city.airlock.submit(city.colleague, city.submission(fresh, TABLE)).id)
    assert (request.state, blocked(request)) == (ExportState.RETURNED, {"differencing"})
