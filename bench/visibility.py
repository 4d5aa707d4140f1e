"""How soon every process knows that a grant may not be used any more, or may again: JSON on stdout.

python bench/visibility.py [ROUNDS] [--sqlite-only]

Real processes over one database, each as the platform runs them: three that decide behind a follower (as portal and
worker do) and one that holds what the consumer API holds. Each asks `decide()` all the time; what is measured is from
the commit of a suspension, restoration or hold to the first answer that obeys it. Target: 1 second, everywhere.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

TARGET_SECONDS = 1.0
CHILD = """
import datetime as dt, json, sys, time
from pathlib import Path
from policies import Context, Policies, Resource
from products.serving.state import ServingState
from shuzha.authorization.service import GrantScopes, forget_ids
from shuzha.core.actor import Actor
from shuzha.core.clock import SystemClock
from shuzha.core.keys import KeyRing
from shuzha.core.outbox import Follower
from shuzha.core.work import Database
from shuzha.server.subscriptions import cache_handlers

kind, url, folder, grant, entry, authorization, at = sys.argv[1:]
at = dt.datetime.fromisoformat(at)
database = Database(url, SystemClock())
# Half an hour between two looks of its own: what is measured is the news, not the second line behind it.
policies = Policies(GrantScopes(database), refresh_seconds=1800)
if kind == "serving":
    ServingState(database, policies, KeyRing.create(Path(folder) / "keys"), Path(folder), forget_ids).start()
else:
    Follower(database, cache_handlers(policies)).start()
who = Actor("acc_zhao", "zhao", "org_operator", frozenset({"analyst"}), "portal")
resource = Resource("data", "", "org_operator", "acc_zhao", authorization, grant)
before = None
while True:
    asked = Context(at=at, entry=entry, operation="aggregate", place="workspace")
    allowed = policies.decide(who, "data:open", resource, asked).allowed
    if allowed is not before:
        print(json.dumps({"allowed": allowed, "at": time.monotonic()}), flush=True)
        before = allowed
    time.sleep(0.001)
"""


@contextmanager
def postgresql() -> Iterator[str | None]:
    """Run a PostgreSQL of this bench alone and give its URL; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="szpg-", dir="/tmp"))
    user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if user:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)

    def run(program: str, *arguments: str) -> None:
        command = [str(found[-1].with_name(program)), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=120, cwd="/tmp", **user)  # type: ignore[call-overload]

    try:
        run("initdb", "-U", "shuzha", "--auth=trust", "-E", "UTF8")
        options = f"-c listen_addresses= -c unix_socket_directories={folder}"
        run("pg_ctl", "-o", options, "-l", str(folder / "log"), "-w", "start")
        yield f"postgresql+psycopg://shuzha@/postgres?host={folder}"
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            run("pg_ctl", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


class Watcher:
    """One child process and what it last said."""

    def __init__(self, kind: str, *arguments: str) -> None:
        self.kind = kind
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, kind, *arguments], stdout=subprocess.PIPE, text=True, env=environment
        )

    def heard(self, *, allowed: bool) -> float:
        """Return the moment at which this process first answered so."""
        assert self.process.stdout is not None
        while True:
            said = json.loads(self.process.stdout.readline())
            if said["allowed"] is allowed:
                return float(said["at"])

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait(timeout=20)


def measure(folder: Path, rounds: int, url: str = "") -> dict[str, object]:
    """Return how long each change took to reach each process, over one database: the kit's own, or the one at `url`."""
    from authorization_kit import City

    from policies import Policies
    from shuzha.authorization.holds import RightsService
    from shuzha.authorization.service import AuthorizationService, GrantScopes
    from shuzha.server import schema

    assert schema.STORES  # Imported so that the kit makes every room's tables.
    city = City(folder)
    entry = city.add_entry()
    authorization = city.authorize(entry)
    grant = city.grant(authorization, entry)
    if url:
        city.database = _copied(city.database, url)
        city.policies = Policies(GrantScopes(city.database))
        city.service = AuthorizationService(city.database, city.policies, city.law, city.keys)
    rights = RightsService(city.database, city.policies, city.law, city.keys, city.service.terminate)
    kinds = ("deciding", "deciding", "deciding", "serving")
    told = (city.database.url, str(folder), grant.id, entry.id, authorization.id, city.clock.now().isoformat())
    watchers = [Watcher(kind, *told) for kind in kinds]
    changes: dict[str, tuple[Callable[[], object], bool]] = {
        "suspend grant": (lambda: city.service.suspend_grant(city.authority, grant.id, "held"), False),
        "restore grant": (lambda: city.service.restore_grant(city.authority, grant.id, "lifted"), True),
        "suspend authorization": (lambda: city.service.suspend(city.authority, authorization.id, "held"), False),
        "restore authorization": (lambda: city.service.restore(city.authority, authorization.id, "lifted"), True),
        "hold by event": (lambda: _order(city, rights, "entry:suspend", entry.id), False),
        "lift by event": (lambda: _order(city, rights, "entry:restore", entry.id), True),
    }
    taken: dict[str, list[float]] = {name: [] for name in changes}
    try:
        for watcher in watchers:
            watcher.heard(allowed=True)
        for _ in range(rounds):
            for name, (change, allowed) in changes.items():
                change()
                done = time.monotonic()
                taken[name] += [watcher.heard(allowed=allowed) - done for watcher in watchers]
    finally:
        for watcher in watchers:
            watcher.end()
        city.database.engine.dispose()
    every = [one for found in taken.values() for one in found]
    return {
        "processes": len(watchers), "changes": rounds * len(changes), "answers": len(every),
        "median_ms": round(statistics.median(every) * 1000, 1), "longest_ms": round(max(every) * 1000, 1),
        "longest_ms_by_change": {name: round(max(found) * 1000, 1) for name, found in taken.items()},
        "within_target": max(every) <= TARGET_SECONDS,
    }  # fmt: skip


def _copied(source: object, url: str) -> object:
    """Return the database at `url` with the records of another; the outbox begins anew."""
    from shuzha.core.records import METADATA
    from shuzha.core.work import OUTBOX, Database
    from shuzha.server import schema

    target = Database(url, source.clock)  # type: ignore[attr-defined]
    schema.migrate(target)
    with source.engine.connect() as old, target.engine.begin() as new:  # type: ignore[attr-defined]
        for table in METADATA.sorted_tables:
            rows = [dict(row) for row in old.execute(table.select()).mappings()] if table is not OUTBOX else []
            if rows:
                new.execute(table.insert(), rows)
    return target


def _order(city: object, rights: object, tag: str, subject: str) -> None:
    database = city.database  # type: ignore[attr-defined]
    with database.work(city.authority) as work:  # type: ignore[attr-defined]
        work.emit(tag, subject, f"{tag} told", data={"reason": "told"})
    event = next(one for one in reversed(database.events_after(max(0, database.last_sequence() - 5))) if one.tag == tag)
    rights.follow_order(event)  # type: ignore[attr-defined]


def main(rounds: int, *, sqlite_only: bool) -> dict[str, object]:
    """Measure over each database there is."""
    found: dict[str, object] = {"target_ms": TARGET_SECONDS * 1000}
    with tempfile.TemporaryDirectory() as folder:
        found["sqlite"] = measure(Path(folder), rounds)
    if not sqlite_only:
        with postgresql() as url, tempfile.TemporaryDirectory() as folder:
            found["postgresql"] = measure(Path(folder), rounds, url) if url else "not installed"
    return found


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    print(json.dumps(main(numbers[0] if numbers else 10, sqlite_only="--sqlite-only" in sys.argv), indent=1))
