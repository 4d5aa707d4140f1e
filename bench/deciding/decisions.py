"""One decision at 100, 10,000 and 1,000,000 policy lines: the policy layer, one plain Casbin enforcer, Cedar.

Each answers the same requests over the same lines, and all answers are compared. `repeated`: the same two thousand
questions again, and `repeated_held` as a verification asks them, whose question stands (`policies.Held`);
`repeated_one_question`: a single one, again and again; `empty_call`: the same loop round a call that does nothing.
`first`: a new question to a grant that the process knows. `cold`: a grant that the process has never
seen, its record read from SQLite, decoded, compiled and asked. The plain enforcer has the same model and holds every
line; Cedar holds one policy a line in one parsed set, and once more in a set of the one grant's policies alone, parsed
beforehand.
"""

from __future__ import annotations

import contextlib
import gc
import json
import random
import resource as usage
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import casbin
from city import DURING, END, SHAPES, START, Records, Request, make_grants, make_request, make_shapes

from policies import Held, Policies, Scope
from policies.scopecheck import DEEDS, ask_of, columns_of
from policies.windows import OpenHours
from shuzha.core.calendar import WorkingCalendar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from running.rivals import ROOT, Rivals

ASKED = 2_000
RIVAL_SECONDS = 15.0
CEDAR_TIMEOUT = 240.0


def percentiles(taken: list[int]) -> dict[str, float]:
    taken.sort()
    return {"p50_us": round(taken[len(taken) // 2] / 1e3, 2), "p99_us": round(taken[len(taken) * 99 // 100] / 1e3, 2)}


def timed(ask: Callable[[Any], Any], requests: Sequence[Any], seconds: float = 1e9) -> tuple[list[int], list[Any]]:
    """Return nanoseconds and answers, request by request, until the time is over."""
    taken, answers, end = [], [], time.perf_counter() + seconds
    gc.collect()
    gc.freeze()
    for request in requests:
        began = time.perf_counter_ns()
        answers.append(ask(request))
        taken.append(time.perf_counter_ns() - began)
        if time.perf_counter() > end:
            break
    gc.unfreeze()
    return taken, answers


def ours(records: Records, requests: list[Request], known: list[Request]) -> tuple[dict[str, Any], list[bool]]:
    policies = Policies(records, refresh_seconds=1e9)

    def decide(request: Request) -> bool:
        return policies.decide(request.actor, request.permission, request.resource, request.context).allowed

    policies.decide(known[0].actor, known[0].permission, known[0].resource, known[0].context)  # the matcher compiles
    policies.forget(known[0].resource.grant)
    cold, _ = timed(decide, known)
    first, answers = timed(decide, requests)
    repeated, again = timed(decide, requests)
    one, _ = timed(decide, requests[:1] * len(requests))
    held = [Held(policies, each.actor, each.permission, each.resource, each.context) for each in requests]
    assert [each.decide(DURING).allowed for each in held] == answers
    standing, _ = timed(lambda each: each.decide(DURING).allowed, held)
    empty, _ = timed(lambda request: Nothing.decide(
        request.actor, request.permission, request.resource, request.context).allowed, requests)  # fmt: skip
    assert again == answers
    by_answer = {
        said: percentiles([ns for ns, answer in zip(first, answers, strict=True) if answer is allowed])
        for said, allowed in (("yes", True), ("no", False))
    }
    return {
        "repeated": percentiles(repeated), "repeated_held": percentiles(standing),
        "repeated_one_question": percentiles(one), "empty_call": percentiles(empty), "first": percentiles(first),
        "first_by_answer": by_answer, "cold": percentiles(cold),
    }, answers  # fmt: skip


class Nothing:
    """What an empty call costs in the same loop: the floor of `repeated`."""

    allowed = True

    @classmethod
    def decide(cls, *_asked: object) -> type[Nothing]:
        return cls


def plain_casbin(shapes: list[Scope], lines: int, requests: list[Request]) -> tuple[dict[str, Any], list[bool]]:
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=(ROOT / "policies/scope.conf").read_text()))
    always = OpenHours(None, WorkingCalendar())
    held = [columns_of(scope, line, always) for _, scope in make_grants(shapes, lines) for line in scope.lines]
    enforcer.model["p"]["p"].policy = held

    def decide(request: Request) -> bool:
        return bool(enforcer.enforce(ask_of(request.permission, request.resource, request.context)))

    taken, answers = timed(decide, requests, RIVAL_SECONDS)
    return {**percentiles(taken), "asked": len(taken)}, answers


def cedar_text(scope: Scope) -> list[str]:
    """Return the policy lines of a scope in Cedar's language."""
    found = []
    for line in scope.lines:

        def has(name: str, values: frozenset[str]) -> str:
            listed = json.dumps(sorted(values), ensure_ascii=False)
            return f"{listed}.containsAll(context.{name})"

        conditions = [
            f"{json.dumps(sorted(line.deeds))}.contains(context.deed)",
            f"{json.dumps(sorted(line.operations))}.contains(context.operation)",
            f'context.entry == "{scope.entry}"', has("columns", line.columns), has("partners", line.partners),
            has("output_kinds", line.output_kinds), has("purposes", line.purposes), has("places", line.places),
            f"context.at >= {int(START.timestamp())} && context.at < {int(END.timestamp())}",
        ]  # fmt: skip
        head = f'permit(principal == Org::"{scope.holder}", action, resource == Grant::"{scope.grant}")'
        found.append(f"{head} when {{ {' && '.join(conditions)} }};")
    return found


CEDAR = """
import json, sys, time, cedarpy
folder, seconds = sys.argv[1], float(sys.argv[2])
began = time.perf_counter()
whole = cedarpy.PolicySet.from_str(open(folder + "/all.cedar").read())
parsing = time.perf_counter() - began
entities = cedarpy.Entities.from_json_str("[]")
asked = json.load(open(folder + "/asked.json"))
def run(sets):
    taken, answers, end = [], [], time.perf_counter() + seconds
    for number, request in enumerate(asked):
        policies = sets(number)
        began = time.perf_counter_ns()
        answers.append(cedarpy.is_authorized(request["request"], policies, entities).allowed)
        taken.append(time.perf_counter_ns() - began)
        if time.perf_counter() > end:
            break
    return taken, answers
one = [cedarpy.PolicySet.from_str("\\n".join(request["policies"])) for request in asked]
print(json.dumps({"parse_s": parsing, "one_set": run(lambda _: whole), "set_a_grant": run(one.__getitem__)}))
"""


def cedar(shapes: list[Scope], lines: int, requests: list[Request], folder: Path) -> tuple[dict[str, Any], list[bool]]:
    wanted = {request.resource.grant for request in requests}
    texts = {}
    with (folder / "all.cedar").open("w") as file:
        for _, scope in make_grants(shapes, lines):
            text = cedar_text(scope)
            file.write("\n".join(text) + "\n")
            if scope.grant in wanted:
                texts[scope.grant] = text
    asked = [{"request": cedar_request(request), "policies": texts[request.resource.grant]} for request in requests]
    (folder / "asked.json").write_text(json.dumps(asked))
    arguments = (str(folder), str(RIVAL_SECONDS))
    try:
        found = Rivals(Path(__file__).parent).run("cedarpy", CEDAR, *arguments, timeout=CEDAR_TIMEOUT)
    except subprocess.TimeoutExpired:
        return {"over_seconds": CEDAR_TIMEOUT}, []
    except subprocess.CalledProcessError as error:
        return {"ended_with": error.returncode}, []
    (whole, answers), (each, again) = found["one_set"], found["set_a_grant"]
    assert again[: len(answers)] == answers
    said = {"one_set": {**percentiles(whole), "asked": len(whole)}, "set_a_grant": percentiles(each)}
    return {**said, "parse_s": round(found["parse_s"], 1)}, again


def cedar_request(request: Request) -> dict[str, Any]:
    ask = ask_of(request.permission, request.resource, request.context)
    context = {
        "deed": DEEDS[request.permission], "operation": request.context.operation, "entry": ask.entry,
        "columns": sorted(ask.columns), "partners": sorted(ask.partners), "output_kinds": sorted(ask.output_kinds),
        "purposes": sorted(ask.purposes), "places": sorted(ask.places), "at": int(ask.at.timestamp()),
    }  # fmt: skip
    return {
        "principal": {"type": "Org", "id": ask.holder}, "action": {"type": "Action", "id": "ask"},
        "resource": {"type": "Grant", "id": ask.grant}, "context": context,
    }  # fmt: skip


def measure(lines: int, shapes: list[Scope]) -> dict[str, Any]:
    chance = random.Random(lines)
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        records = Records(f"{name}/records.db", shapes, lines)
        stored = time.perf_counter() - began
        numbers = [chance.randrange(records.count) for _ in range(min(ASKED, records.count * 20))]
        requests = [make_request(shapes[number % SHAPES], number, chance) for number in numbers]
        seen = list(dict.fromkeys(numbers))
        known = [make_request(shapes[number % SHAPES], number, random.Random(1)) for number in seen]
        found, answers = ours(records, requests, known)
        few = requests if lines <= 10_000 else requests[:30]
        plain, plainly = plain_casbin(shapes, lines, few)
        beside, cedarly = cedar(shapes, lines, few, Path(name))
        for theirs in (plainly, cedarly):
            assert theirs == answers[: len(theirs)], "a rival answered otherwise"
    allowed = sum(answers) / len(answers)
    return {
        "grants": records.count, "stored_s": round(stored, 1), "allowed": round(allowed, 2), "shuzha": found,
        "casbin_one_enforcer": plain, "cedarpy": beside,
        "peak_mb": round(usage.getrusage(usage.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip


def main(arguments: list[str]) -> dict[str, Any]:
    shapes = make_shapes()
    sizes = (100, 1_000) if "--quick" in arguments else (100, 10_000, 1_000_000)
    return {f"{size:_}_lines": measure(size, shapes) for size in sizes}


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(main(sys.argv[1:])))
