"""What would change: the flips named are exactly the questions that two scopes answer otherwise."""

import datetime as dt
import random

import pytest

from policies import Hours, Resource, make_scope
from policies.scopecheck import REQUIRED, CompiledScope
from policies.whatif import MOST_QUESTIONS, compare_scopes, cut_scope, questions
from shuzha.core.errors import Invalid
from tests.policies_kit import random_made

START = dt.datetime(2026, 1, 1, 16, 0, tzinfo=dt.UTC)


def test_the_same_scope_changes_nothing(make_grant):
    found = compare_scopes(make_grant(), make_grant())
    assert (found.parts, found.lines_gained, found.lines_lost, found.flips) == ((), (), (), ())
    assert found.asked > 100
    assert not found.widens
    assert not found.narrows


def test_an_operation_taken_away_names_what_would_be_refused_and_why(make_grant):
    scope = make_grant()
    found = compare_scopes(scope, cut_scope(scope, operations={"view", "verify"}))
    assert [(part.name, part.gained, part.lost) for part in found.parts] == [("operations", (), ("aggregate",))]
    assert found.narrows
    assert not found.widens
    assert {flip.context.operation for flip in found.flips} == {"aggregate"}
    assert {flip.permission for flip in found.flips} >= {"data:open", "data:export"}
    assert all("operation lies outside" in flip.reason for flip in found.flips)


def test_a_shorter_term_flips_only_what_lies_after_it(make_grant):
    scope, end = make_grant(), START + dt.timedelta(days=30)
    found = compare_scopes(scope, cut_scope(scope, term=(START, end)))
    assert found.flips
    assert {flip.context.at >= end for flip in found.flips} == {True}
    assert {flip.permission for flip in found.flips} == set(REQUIRED) - {"data:join"}


def test_hours_that_are_closed_at_the_edges_of_the_term_hide_no_change(make_grant):
    scope = make_grant(hours=Hours(510, 1_080, True))
    found = compare_scopes(scope, cut_scope(scope, operations={"view", "verify"}))
    assert {flip.context.operation for flip in found.flips} == {"aggregate"}
    shorter = compare_scopes(scope, cut_scope(scope, term=(START, START + dt.timedelta(days=45))))
    assert shorter.narrows


def test_nothing_left_ends_the_grant(make_grant):
    scope = make_grant()
    assert cut_scope(scope, entries={"ent_9"}) is None
    assert cut_scope(scope, term=(START - dt.timedelta(days=9), START)) is None
    found = compare_scopes(scope, None)
    assert (found.after, found.narrows) == ("", True)
    assert all(flip.reason == "nothing of the grant would be left" for flip in found.flips)


def test_a_wider_agreement_widens_no_grant(make_grant):
    scope = make_grant()
    wider = {"purposes": {"loan-review", "advertising"}, "operations": {"view", "aggregate", "verify", "train"}}
    assert cut_scope(scope, **wider) == scope


def test_a_part_that_is_none_is_refused(make_grant):
    with pytest.raises(Invalid, match="no part `rows`"):
        cut_scope(make_grant(), rows={"a"})


def half(chance, values):
    return frozenset(chance.sample(sorted(values), len(values) // 2))


@pytest.mark.parametrize("scopes", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_a_cut_scope_allows_nothing_that_the_whole_one_does_not(scopes):
    chance, narrowed = random.Random(5), 0
    for number in range(scopes):
        scope = make_scope(**random_made(chance, number))
        parts = {name: half(chance, getattr(scope, name)) for name in ("columns", "operations", "purposes")}
        cut = cut_scope(scope, **parts)
        assert cut is not None
        found = compare_scopes(scope, cut)
        assert not found.widens
        assert all(getattr(cut, name) <= kept for name, kept in parts.items())
        narrowed += found.narrows
    assert narrowed > 1


def test_the_flips_are_the_questions_that_are_answered_otherwise_when_each_is_asked_alone():
    chance, flips = random.Random(7), 0
    for number in range(3):
        scope = make_scope(**random_made(chance, number))
        cut = cut_scope(scope, operations=half(chance, scope.operations), purposes=half(chance, scope.purposes))
        found, old, new = compare_scopes(scope, cut), CompiledScope(scope), CompiledScope(cut)
        resource = Resource("data", organisation=scope.holder, authorization="aut_1", grant=scope.grant)
        said = {(flip.permission, flip.context, flip.reason) for flip in found.flips}
        apart = set()
        asked = list(questions(scope, cut))
        for permission, context in asked:
            was, is_now = (each.decide(permission, resource, context).decision for each in (old, new))
            if was.allowed is not is_now.allowed:
                apart.add((permission, context, is_now.reason))
        assert (said, found.asked) == (apart, len(asked))
        flips += len(said)
    assert flips


def test_questions_are_bounded(make_grant):
    wide = make_grant(columns=[f"c{number}" for number in range(3_000)])
    assert sum(1 for _ in questions(wide)) == MOST_QUESTIONS
