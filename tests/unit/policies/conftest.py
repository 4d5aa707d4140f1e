"""A grant of the demo kind, a source of scopes that counts its questions, and people in their roles."""

import datetime as dt

import pytest

from policies import Policies, ScopeState, make_scope
from shuzha.core.actor import Actor

START = dt.datetime(2026, 1, 1, 16, 0, tzinfo=dt.UTC)
END = dt.datetime(2027, 12, 31, 16, 0, tzinfo=dt.UTC)


def _make_grant(**changes):
    values = {
        "grant": "grt_1", "authorization": "aut_1", "holder": "org_operator", "entry": "ent_1",
        "columns": ["age", "status, current", "fee (yuan"],
        "operations": ["view", "aggregate", "verify"], "output_kinds": ["verification"], "purposes": ["loan-review"],
        "places": ["workspace", "api"], "valid_from": START, "valid_until": END, "clause": "clause 3 (J23 art. 16)",
    } | changes  # fmt: skip
    return make_scope(**values)


class Grants:
    """A ScopeSource that a test changes, and that counts how often it is asked."""

    def __init__(self, *scopes):
        self.states = {scope.grant: ScopeState(scope, True) for scope in scopes}
        self.asked = 0

    def find_scope(self, grant_id):
        self.asked += 1
        return self.states.get(grant_id)

    def put(self, scope, active=True, reason=""):
        self.states[scope.grant] = ScopeState(scope, active, reason)


def _person(role, organisation="org_operator", identifier=""):
    return Actor(identifier or f"acc_{role}", role, organisation, frozenset({role}), "portal")


@pytest.fixture
def make_grant():
    return _make_grant


@pytest.fixture
def person():
    return _person


@pytest.fixture
def grants():
    return Grants(_make_grant())


@pytest.fixture
def policies(grants):
    return Policies(grants)
