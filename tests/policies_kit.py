"""Grants made at random, and requests near their edges."""

from __future__ import annotations

import datetime as dt

from policies import OWN_FILE, Context, Hours, Narrowing, Resource

BASE = dt.datetime(2026, 2, 27, 10, 0, tzinfo=dt.UTC)  # a Friday; the Saturday after it is a make-up day
COLUMNS = ["age", "a,b", "c)", "状态", "x||y"]
WORDS = {
    "entry": ["ent_1", "ent_2", ""],
    "operation": ["view", "train", "verify", "join", ""],
    "output_kind": ["verification", "model", ""],
    "purpose": ["loan-review", "a||b", ""],
    "place": ["workspace", "api", ""],
}


def some(chance, words, share=0.75):
    return [word for word in words if word and chance.random() < share]


def random_made(chance, number):
    """Return what a grant is made from."""
    start = BASE + dt.timedelta(hours=chance.randrange(48), seconds=chance.randrange(3))
    made = {
        "grant": f"grt_{number}", "authorization": "aut_1", "holder": "org_1",
        "entry": chance.choice(["ent_1", "ent_2"]),
        "columns": some(chance, COLUMNS), "operations": some(chance, WORDS["operation"]),
        "output_kinds": some(chance, WORDS["output_kind"]), "purposes": some(chance, WORDS["purpose"]),
        "places": some(chance, WORDS["place"]), "valid_from": start, "partners": some(chance, [OWN_FILE, "ent_9"]),
        "valid_until": start + dt.timedelta(hours=1 + chance.randrange(60)), "clause": "clause 1", "narrowed": [],
    }  # fmt: skip
    if chance.random() < 0.4:
        made["hours"] = random_hours(chance)
    acts = ["use", *made["operations"]]
    acts += [f"{deed}:{kind}" for deed in ("export", "serve") for kind in made["output_kinds"]]
    for act in chance.sample(acts, min(len(acts), chance.randrange(3))):
        hours = random_hours(chance) if chance.random() < 0.3 else None
        if hours is not None and "hours" in made and not hours.within(made["hours"]):
            hours = None  # A narrowing that widens is refused, which another test looks at.
        columns = tuple(some(chance, made["columns"])) if chance.random() < 0.7 else None
        made["narrowed"].append(Narrowing(act, columns, hours))
    return made


def random_hours(chance):
    opens = chance.choice([0, 510, 720])
    return Hours(opens, chance.choice([opens + 1, 1_080, 1_440]), chance.random() < 0.5)


def random_request(chance, made):
    near = {
        "entry": [made["entry"]], "operation": made["operations"], "purpose": made["purposes"],
        "output_kind": made["output_kinds"], "place": made["places"],
    }  # fmt: skip
    words = {
        name: chance.choice(near[name]) if near[name] and chance.random() < 0.9 else chance.choice(WORDS[name])
        for name in WORDS
    }
    pool = made["columns"] if chance.random() < 0.9 else COLUMNS
    partners = (
        some(chance, [*made["partners"], "ent_8"][: 1 + chance.randrange(3)], 0.6)
        if words["operation"] == "join"
        else []
    )
    at = random_moment(chance, made)
    columns = frozenset(column for column in pool if chance.random() < 0.4)
    resource = Resource(
        "release", organisation=chance.choice(["org_1"] * 9 + ["", "org_2"]),
        authorization=chance.choice(["", "aut_1", "aut_1", "aut_1", "aut_2"]), grant=made["grant"],
    )  # fmt: skip
    return resource, Context(at, columns=columns, partners=frozenset(partners), **words)


def random_moment(chance, made):
    tick = dt.timedelta(microseconds=chance.choice([-1, 0, 1]))
    if chance.random() < 0.5:
        return made["valid_from"] + chance.random() * (made["valid_until"] - made["valid_from"])
    if chance.random() < 0.3:
        return chance.choice([made["valid_from"], made["valid_until"]]) + tick
    edge = dt.datetime(2026, 2, 27, 16, 0, tzinfo=dt.UTC) + dt.timedelta(days=chance.randrange(4))
    minute = chance.choice([0, 510, 511, 720, 721, 1_080, 1_440, 600])
    return edge + dt.timedelta(minutes=minute) + tick
