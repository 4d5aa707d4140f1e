"""The last second of the last day and the first after it, in two processes, asked anew and asked again."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from shuzha.authorization.model import Grant
from tests.authorization_kit import City

ROOT = Path(__file__).parents[3]
ASKING = """
import datetime as dt, json, sys
from policies import Context, Policies, Resource
from shuzha.authorization.service import GrantScopes
from shuzha.core.actor import Actor
from shuzha.core.clock import SystemClock
from shuzha.core.work import Database

url, grant, entry, waits = sys.argv[1:5]
policies = Policies(GrantScopes(Database(url, SystemClock())), refresh_seconds=1e9)
actor = Actor("acc_1", "x", "org_operator", frozenset({"analyst"}), "portal")
resource = Resource("release", organisation="org_operator", grant=grant)
for line in sys.stdin:
    answers = []
    for moment in json.loads(line):
        at = dt.datetime.fromisoformat(moment)
        context = Context(at, entry, frozenset({"period"}), "aggregate", place="workspace")
        if waits == "anew":
            policies.forget(grant)
        decision = policies.decide(actor, "data:open", resource, context)
        assert decision.code in ("allowed", "scope.expired", "scope.not_yet"), decision
        answers.append(decision.allowed)
    print(json.dumps(answers), flush=True)
"""


@pytest.fixture
def grant(city: City) -> Grant:
    entry = city.add_entry()
    return city.grant(city.authorize(entry), entry)


def test_no_process_allows_anything_past_the_edge_of_the_last_day(city: City, grant: Grant) -> None:
    beijing = dt.timezone(dt.timedelta(hours=8))
    last = city.service.get_demand(city.operator, grant.demand).content.term.valid_until
    evening = dt.datetime.combine(last, dt.time(23, 59, 59), beijing)
    midnight = dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), beijing)
    tick = dt.timedelta(microseconds=1)
    moments = [evening, midnight, midnight - tick, midnight, midnight + tick, evening, midnight, evening]
    expected = [moment < midnight for moment in moments]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ASKING, city.database.url, grant.id, grant.entry, how],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
        )
        for how in ("kept", "anew")
    ]  # fmt: skip
    try:
        for order in (1, -1):
            # The second process is asked while the first already keeps its answers, then both again in reverse.
            asked = [moment.isoformat() for moment in moments[::order]]
            for process in processes:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.flush()
                assert json.loads(process.stdout.readline()) == expected[::order]
    finally:
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)
