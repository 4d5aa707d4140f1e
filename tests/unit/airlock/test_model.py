"""The lifecycle table, blind votes, and the vault."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from policies.permissions import Permission
from sandbox.airlock.findings import Finding, Severity, worst
from sandbox.airlock.model import (
    EXPORT,
    HOLDABLE,
    Choice,
    ExportRequest,
    ExportState,
    Step,
    Vote,
    as_seen_by,
    outcome,
    resumed_state,
)
from sandbox.airlock.vault import Vault
from shuzha.core.errors import Invalid, NotFound

NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def vote(reviewer: str, choice: Choice = Choice.APPROVE, number: int = 1) -> Vote:
    return Vote(reviewer, "org_x", choice, "because", NOW, number)


def request(state: ExportState, *votes: Vote, **changes: object) -> ExportRequest:
    made = ExportRequest(
        "exp_1", "t", "c", "acc_author", "org_unit", "ws", "aut", "sc", "p", ("rel",), (), "0" * 64, state, NOW,
        votes=votes, steps=(Step("submit", "acc_author", NOW), *(Step("review", one.reviewer, NOW) for one in votes)),
    )  # fmt: skip
    return replace(made, **changes)


def test_every_verb_of_the_lifecycle_is_a_permission() -> None:
    assert set(EXPORT.permissions()) <= set(Permission)


def test_final_states_are_the_three_that_nothing_leaves() -> None:
    assert EXPORT.terminal == {ExportState.REJECTED, ExportState.WITHDRAWN, ExportState.RECALLED}


def test_every_state_before_the_release_can_be_held() -> None:
    after = {ExportState.RELEASED, ExportState.HELD, *EXPORT.terminal}
    assert set(HOLDABLE) == set(ExportState) - after


@pytest.mark.parametrize("verb", ["approve", "seal", "release"])
def test_nothing_skips_the_review(verb: str) -> None:
    for state in (
        ExportState.DRAFT,
        ExportState.SUBMITTED,
        ExportState.RERUNNING,
        ExportState.SCREENED,
        ExportState.HELD,
    ):
        assert not EXPORT.can(state, verb)


@pytest.mark.parametrize(
    ("choices", "verb"),
    [
        ((), None),
        ((Choice.APPROVE,), None),
        ((Choice.REJECT,), None),
        ((Choice.APPROVE, Choice.APPROVE), "approve"),
        ((Choice.CHANGES, Choice.CHANGES), "return"),
        ((Choice.REJECT, Choice.REJECT), "reject"),
        ((Choice.APPROVE, Choice.CHANGES), "consolidate"),
        ((Choice.REJECT, Choice.CHANGES), "consolidate"),
    ],
)
def test_outcome_needs_two_votes_that_agree(choices: tuple[Choice, ...], verb: str | None) -> None:
    assert outcome(tuple(vote(str(place), choice) for place, choice in enumerate(choices))) == verb


@pytest.mark.parametrize("state", [ExportState.UNDER_REVIEW, ExportState.HELD])
def test_as_seen_by_hides_the_vote_of_another_until_both_are_in(state: ExportState) -> None:
    one = request(state, vote("acc_a"))
    assert as_seen_by(one, "acc_a") == one
    assert as_seen_by(one, "acc_b").votes == ()
    both = request(state, vote("acc_a"), vote("acc_b"))
    assert as_seen_by(both, "acc_author") == both


def test_as_seen_by_shows_votes_of_earlier_rounds() -> None:
    old = (vote("acc_a"), vote("acc_b"))
    later = request(ExportState.UNDER_REVIEW, *old, vote("acc_c", number=2), round=2)
    assert as_seen_by(later, "acc_author").votes == old


def test_resumed_state_runs_again_what_was_being_run() -> None:
    for before in HOLDABLE:
        held = request(ExportState.HELD, held_from=before.value)
        assert resumed_state(held) == (ExportState.SUBMITTED if before is ExportState.RERUNNING else before)


def test_worst_is_the_worst_severity() -> None:
    note, review, block = (Finding("r", severity, "a") for severity in (Severity.NOTE, Severity.REVIEW, Severity.BLOCK))
    assert (worst([]), worst([note]), worst([note, review]), worst([review, block])) == (
        "pass",
        "pass",
        "review",
        "block",
    )


def test_vault_keeps_bytes_once_and_checks_them(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    address = vault.put(b"bytes")
    assert vault.put(b"bytes") == address
    assert vault.get(address) == b"bytes"
    path = tmp_path / "vault" / address[:2] / address
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"other")
    with pytest.raises(Invalid):
        vault.get(address)
    with pytest.raises(NotFound):
        vault.get("0" * 64)
    for wrong in ("../../etc/passwd", "", "A" * 64):
        with pytest.raises(Invalid):
            vault.get(wrong)
