"""The grants of a made-up city, kept in SQLite as the platform keeps them, and requests near their edges."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from policies import Context, Narrowing, Resource, Scope, ScopeState, make_scope
from policies.scopes import seal_scope
from shuzha.core.actor import Actor

START = dt.datetime(2026, 1, 1, 16, tzinfo=dt.UTC)
END = dt.datetime(2027, 12, 31, 16, tzinfo=dt.UTC)
DURING = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
SHAPES = 200
OPERATIONS = ("view", "aggregate", "join", "train", "verify")
KINDS = ("component", "model", "verification", "service", "report")
PURPOSES = ("loan-review", "statistics", "insurance", "traffic", "health", "elder-care")


@dataclass(frozen=True)
class Request:
    """One question, and whether it lies inside its grant."""

    actor: Actor
    permission: str
    resource: Resource
    context: Context


def make_shapes() -> list[Scope]:
    """Return scopes as demands ask for them: 3 to 30 columns, some operations and forms, some of them narrowed."""
    chance = random.Random(6)
    shapes = []
    for number in range(SHAPES):
        columns = [f"column_{number}_{place}" for place in range(chance.randint(3, 30))]
        operations = chance.sample(OPERATIONS, chance.randint(2, 5))
        kinds = chance.sample(KINDS, chance.randint(1, 3))
        acts = [*operations, *(f"export:{kind}" for kind in kinds), *(f"serve:{kind}" for kind in kinds)]
        narrowed = [Narrowing(act, tuple(columns[: len(columns) // 2 + 1])) for act in acts if chance.random() < 0.4]
        shapes.append(
            make_scope(
                grant="grt", authorization="aut", holder="org", entry=f"ent_{number}", columns=columns,
                operations=operations, output_kinds=kinds, purposes=chance.sample(PURPOSES, 2),
                places=("workspace", "api"), valid_from=START, valid_until=END, narrowed=narrowed, clause="clause 1",
            )
        )  # fmt: skip
    return shapes


def make_grants(shapes: list[Scope], lines: int) -> Iterator[tuple[str, Scope]]:
    """Yield as many grants as have this many policy lines."""
    number = 0
    while lines > 0:
        shape = shapes[number % SHAPES]
        name = f"{number:08d}"
        yield name, replace(shape, grant=f"grt_{name}", authorization=f"aut_{name}", holder=f"org_{number % 400}")
        lines -= len(shape.lines)
        number += 1


class Records:
    """The grants' scopes in SQLite: each is read, and its JSON decoded, when the policy layer asks for it."""

    def __init__(self, path: str, shapes: list[Scope], lines: int) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("CREATE TABLE grants (id TEXT PRIMARY KEY, scope BLOB) WITHOUT ROWID")
        self._decoder = msgspec.json.Decoder(Scope)
        self.count = 0
        rows = ((scope.grant, msgspec.json.encode(seal_scope(scope))) for _, scope in make_grants(shapes, lines))
        with self._database:
            self.count = self._database.executemany("INSERT INTO grants VALUES (?, ?)", rows).rowcount

    def find_scope(self, grant_id: str) -> ScopeState | None:
        found = self._database.execute("SELECT scope FROM grants WHERE id = ?", (grant_id,)).fetchone()
        return None if found is None else ScopeState(self._decoder.decode(found[0]), active=True)


def make_request(shape: Scope, number: int, chance: random.Random) -> Request:
    """Return a request for one grant: two thirds lie inside, the rest just outside."""
    organisation = f"org_{number % 400}"
    actor = Actor(f"acc_{number % 1_000}", "x", organisation, frozenset({"analyst"}), "socket")
    resource = Resource("grant", "", organisation, "", f"aut_{number:08d}", f"grt_{number:08d}")
    operation = chance.choice(sorted(shape.operations))
    columns = frozenset(chance.sample(sorted(shape.columns)[: len(shape.columns) // 2 + 1], 2))
    if chance.random() < 1 / 3:
        columns |= {"column_elsewhere"}
    context = Context(
        DURING, shape.entry, columns, operation, chance.choice(sorted(shape.output_kinds)),
        chance.choice(sorted(shape.purposes)), "workspace",
    )  # fmt: skip
    return Request(actor, "data:export", resource, context)
