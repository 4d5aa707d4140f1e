"""Attacks on who checks: on evidence, parameters, ids, votes and counts, and on what messages and logs say.

Nothing here needs root: notebooks run as scripts, and the platform judges and people decide for real.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from airlock_kit import TABLE, AirlockCity
from authorization_kit import person
from fail_closed_kit import FRAME, GivenInputs, a_request, declare, vault
from fastapi import FastAPI, Header
from fastapi.testclient import TestClient

from sandbox.airlock import reviewing
from sandbox.airlock.model import Choice, ExportRequest, ExportState
from sandbox.airlock.routes import make_router
from sandbox.airlock.rules import Rules
from sandbox.airlock.screening import Screener
from sandbox.airlock.vault import Vault
from shuzha.core.actor import Actor
from shuzha.core.errors import Invalid, NotAllowed, NotFound, ShuzhaError
from shuzha.server import problems

AUTHORITY = person("zhou", "org_authority", "authority")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> AirlockCity:
    made = AirlockCity(tmp_path_factory.mktemp("city"))
    made.made = made.ready()
    return made


def screened(city: AirlockCity) -> ExportRequest:
    return city.request_at(ExportState.SCREENED, city.ready()[1], TABLE)


def nobody_checks(*_: Any) -> None:
    """The control: every reviewer is as good as another."""


class TrustingVault(Vault):
    """Gives whatever lies at an address."""

    def get(self, address: str) -> bytes:
        return self._path(address).read_bytes()


# --- evidence and parameters ----------------------------------------------------------------------------------------


@pytest.mark.attack(
    what="evidence of the reviewers' page exchanged for one that found nothing", route="the vault's folder",
    layer="vault", control="a vault that looks at no hash gives the other evidence",
)  # fmt: skip
def test_evidence_that_was_exchanged_is_not_shown(city: AirlockCity) -> None:
    request = screened(city)
    (file,) = request.files
    assert json.loads(city.airlock.read_evidence(city.checker, request.id, file.name))["rules"]["min_entities"] == 10
    path = city.vault._path(file.evidence)
    path.chmod(0o600)
    before = path.read_bytes()
    path.write_bytes(b'{"verdict": "pass", "findings": []}')
    with pytest.raises(Invalid, match="changed"):
        city.airlock.read_evidence(city.checker, request.id, file.name)
    assert TrustingVault(city.vault._folder).get(file.evidence).startswith(b'{"verdict": "pass"'), "the control"
    path.write_bytes(before)


FEW = {
    "kind": "table", "release": "social_insurance", "rows": ["district_code"], "aggregate": "entities",
    "where": [
        {"column": "kind", "op": "eq", "value": "pension"}, {"column": "base", "op": "ge", "value": 20_300},
    ],
}  # fmt: skip
FORGED: dict[str, dict[str, Any]] = {
    "parameters": {"rules": {"min_entities": 1}},
    "one parameter": {"min_entities": 1},
    "empty cells declared": {"structural_zeros": [[["district_code", "370102"]]]},
    "a verdict": {"verdict": "pass"},
    "evidence": {"findings": []},
}


def declared_by_hand(specification: dict[str, Any]) -> str:
    """Return a cell that writes a declaration past the workbench, as any code in the kernel can."""
    body = {"name": "few", "kind": "table", "specification": specification}
    return (
        f"import os, pathlib\n(pathlib.Path(os.environ['SHUZHA_OUTBOX']) / 'a.json').write_text({json.dumps(body)!r})"
    )


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.attack(
    what="parameters, a verdict or evidence of the analyst's own, in what he declares and asks",
    route="a specification", layer="platform",
    control="with the same parameter set by the authority the same table is not held back by its count",
)  # fmt: skip
def test_nobody_brings_parameters_of_his_own(city: AirlockCity, forged: str) -> None:
    _, release = city.ready()
    asked = FEW | FORGED[forged]
    held = city.request_at(ExportState.RETURNED, release, declared_by_hand(asked))
    assert (held.state, {one.rule for one in held.findings}) == (ExportState.RETURNED, {"specification"})
    advice = city.airlock.check(city.analyst, city.submission(release), asked)
    assert (advice["verdict"], advice["rules"]["min_entities"]) == ("block", 10)
    with pytest.raises(NotAllowed):
        city.airlock.rules.set_rules(city.analyst, {"min_entities": 1}, "a lower threshold")
    plain = city.airlock.check(city.analyst, city.submission(release), FEW)
    assert "min_count" in {one["rule"] for one in plain["findings"]}
    city.airlock.rules.set_rules(AUTHORITY, {"min_entities": 1}, "the control")
    control = city.airlock.check(city.analyst, city.submission(release), FEW)
    city.airlock.rules.set_rules(AUTHORITY, {"min_entities": 10}, "as it was")
    assert "min_count" not in {one["rule"] for one in control["findings"]}, "the control"


# --- ids and votes --------------------------------------------------------------------------------------------------


@pytest.mark.attack(
    what="a request of another unit by its id: read, its file, notebook and evidence, voted on, withdrawn, sent again",
    route="the airlock's verbs", layer="platform", control="somebody of a unit that reviews does the same with that id",
)  # fmt: skip
def test_the_id_of_another_units_request_opens_nothing(city: AirlockCity) -> None:
    request = screened(city)
    name, airlock = request.files[0].name, city.airlock
    thief = replace(city.rival, roles=frozenset({"operator", "analyst"}))
    reading: list[Callable[[Actor], object]] = [
        lambda who: airlock.get_export(who, request.id), lambda who: airlock.read_file(who, request.id, name),
        lambda who: airlock.read_notebook(who, request.id), lambda who: airlock.read_evidence(who, request.id, name),
        lambda who: airlock.vote(who, request.id, Choice.APPROVE, "I looked at each cell"),
    ]  # fmt: skip
    for act in [*reading, lambda who: airlock.withdraw(who, request.id, "not mine")]:
        with pytest.raises(NotFound):
            act(thief)
    with pytest.raises((NotFound, NotAllowed)):
        airlock.resubmit(thief, request.id, city.submission(city.ready()[1]))
    assert airlock.get_export(city.checker, request.id).revision == request.revision
    for act in reading:
        assert act(city.checker), "the control"


@pytest.mark.attack(
    what="a workspace's name of another unit in a submission that is sent again", route="the airlock's verbs",
    layer="platform", control="from its own workspace the same submission is taken",
)  # fmt: skip
def test_another_workspace_does_not_send_a_request_again(city: AirlockCity) -> None:
    _, release = city.ready()
    returned = city.request_at(ExportState.RETURNED, release, declared_by_hand(FEW))
    for changes in ({"workspace": "ws-2"}, {"authorization": "aut_other", "releases": ()}):
        with pytest.raises(ShuzhaError):
            city.airlock.resubmit(city.analyst, returned.id, city.submission(release, TABLE, **changes))
    again = city.airlock.resubmit(city.analyst, returned.id, city.submission(release, TABLE))
    assert again.state is ExportState.SUBMITTED, "the control"


@pytest.mark.attack(
    what="an approval by the author, as a checker of another unit", route="the vote of a reviewer", layer="platform",
    control="the same vote of a colleague in that unit counts",
)  # fmt: skip
def test_nobody_approves_his_own_request(city: AirlockCity) -> None:
    request = screened(city)
    author = replace(city.analyst, roles=frozenset({"checker"}), organisation="org_authority")
    with pytest.raises((NotAllowed, NotFound)):
        city.airlock.vote(author, request.id, Choice.APPROVE, "mine is fine")
    assert city.airlock.get_export(AUTHORITY, request.id).votes == ()
    colleague = replace(author, id="acc_colleague")
    voted = city.airlock.vote(colleague, request.id, Choice.APPROVE, "mine is fine")
    assert [vote.reviewer for vote in voted.votes] == [colleague.id], "the control"


@pytest.mark.attack(
    what="a second approval by one person in another role and of another unit", route="the vote of a reviewer",
    layer="platform", control="where nobody asks who reviews, one person approves alone",
)  # fmt: skip
def test_nobody_votes_twice(city: AirlockCity, monkeypatch: pytest.MonkeyPatch) -> None:
    request = screened(city)
    city.airlock.vote(city.checker, request.id, Choice.APPROVE, "counts are large")
    again = replace(city.checker, roles=frozenset({"checker", "authority"}), organisation="org_elsewhere")
    with pytest.raises(NotAllowed):
        city.airlock.vote(again, request.id, Choice.APPROVE, "once more")
    assert city.airlock.get_export(city.checker, request.id).state is ExportState.UNDER_REVIEW
    monkeypatch.setattr(reviewing, "check_reviewer", nobody_checks)
    assert city.airlock.vote(again, request.id, Choice.APPROVE, "once more").state is ExportState.APPROVED


COUNTS: list[dict[str, Any]] = [
    {"approvals": 2}, {"count": 2}, {"votes": [{"reviewer": "acc_x", "choice": "approve"}]}, {"state": "approved"},
    {"reviewer": "acc_x"}, {"withheld": {}, "verdict": "pass"},
]  # fmt: skip


@pytest.mark.parametrize("told", COUNTS)
@pytest.mark.attack(
    what="the number of approvals, the state, another reviewer's vote or name, sent by who votes",
    route="the API of a vote", layer="platform",
    control="the same ballot without it counts as one, and a second decides",
)  # fmt: skip
def test_the_caller_does_not_count_the_approvals(city: AirlockCity, told: dict[str, Any]) -> None:
    def actor(person: str = Header()) -> Actor:
        found: Actor = getattr(city, person)
        return found

    app = FastAPI()
    problems.install(app)
    app.include_router(make_router(city.airlock, actor))
    client = TestClient(app)
    request = screened(city)
    ballot = {"choice": "approve", "reason": "counts are large"}
    path = f"/exports/{request.id}/vote"
    assert client.post(path, json=ballot | told, headers={"person": "checker"}).status_code == 422
    assert city.airlock.get_export(AUTHORITY, request.id).state is ExportState.SCREENED
    states = [client.post(path, json=ballot, headers={"person": who}).json()["state"] for who in ("checker", "second")]
    assert states == ["under_review", "approved"], "the control"


# --- messages and logs ----------------------------------------------------------------------------------------------

SECRET = "7350193"
NOTED = FRAME.with_columns(note=pl.when(pl.col("person") == 7).then(pl.lit(SECRET + "x")).otherwise(pl.lit("1")))
QUOTING = NOTED.lazy().with_columns(pl.col("note").cast(pl.Int64))


@pytest.mark.parametrize("kind", ["table", "regression", "figure", "model", "file"])
@pytest.mark.attack(
    what="a value of the data quoted by the error of a check that it breaks",
    route="a release that cannot be read whole", layer="platform",
    control="the error's own text, which the log would have, quotes it",
)  # fmt: skip
def test_the_error_of_a_check_quotes_no_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    changes: dict[str, Any] = {
        "table": {"rows": ["note"]}, "regression": {"formula": "income ~ note"}, "model": {"columns": ["note"]},
        "figure": {"table": {"kind": "table", "release": "incomes", "rows": ["note"], "aggregate": "entities"}},
    }.get(kind, {})  # fmt: skip
    asked = declare(kind, NOTED.select("note", "income").write_csv().encode() if kind == "file" else None, **changes)
    screener = Screener(GivenInputs(frame=QUOTING, columns=tuple(NOTED.columns)), vault(tmp_path), Rules())
    with caplog.at_level(logging.DEBUG):
        judged = screener.judge(a_request(), asked, lambda *_: None)
    assert judged.file.verdict == "block"
    assert "checker_failed" in {one.rule for one in judged.findings}
    assert SECRET not in msgspec.json.encode(judged.findings).decode() + caplog.text
    assert "screening an output of exp_1 failed" in caplog.text
    with caplog.at_level(logging.DEBUG):
        monkeypatch.setattr("sandbox.airlock.screening.log_fault", _with_its_text)
        screener.judge(a_request(), asked, lambda *_: None)
    assert SECRET in caplog.text, "the control"


def _with_its_text(log: logging.Logger, error: BaseException, message: str, *args: object) -> None:
    log.error(message, *args, exc_info=error)
