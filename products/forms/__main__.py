"""The process of the forms: `python -m products.forms --settings FILE`; it runs models and answers data services."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from policies import Policies
from products.forms.answering import Answering, ModelDesk, Shelf
from products.forms.line import serve
from products.forms.predicting.pool import Pool
from products.forms.predicting.probing import Probing
from products.forms.querying.computing import Computing
from products.forms.querying.desk import ServiceDesk
from products.forms.querying.identities import RawIdentities
from sandbox.airlock.memory.service import Memory
from sandbox.airlock.memory.zone import MemoryZone
from sandbox.airlock.rulebook import RuleBook
from shuzha.authorization.service import GrantScopes, forget_ids
from shuzha.catalog.lake import RawZone
from shuzha.core.errors import ShuzhaError
from shuzha.core.keys import KeyRing
from shuzha.core.logs import start_logging
from shuzha.core.outbox import Follower
from shuzha.core.settings import Settings, load_settings
from shuzha.core.work import Database, Event

FORGET_SECONDS = 3600.0


async def run(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT."""
    clock = settings.clock()
    database, keys = Database(settings.records_url, clock), KeyRing(settings.folder("keys"))
    folder = settings.folder("products")
    pool, probing = Pool(), Probing(folder / "probing.db", keys.derive("model-probing"))
    zone, scopes = RawZone(settings.folder("raw")), GrantScopes(database)
    policies = Policies(scopes)
    memory = Memory(database, MemoryZone(zone.folder / "memory"), RawIdentities(database, zone, keys))
    computing = Computing(database, policies, scopes, zone, memory, RuleBook(database, policies))
    follower = follow_rights(database, policies)
    models, services = ModelDesk(pool, probing, clock, folder), ServiceDesk(database, computing)
    answering = Answering(Shelf(database), models, services)
    server = await serve(socket_of(settings), answering.answer)
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    while not stopped.is_set():
        probing.forget(clock.now().timestamp())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), FORGET_SECONDS)
    server.close()
    follower.stop()
    await pool.close()
    probing.close()


def follow_rights(database: Database, policies: Policies) -> Follower:
    """Return the started follower that makes this process forget a decision when its grant changes."""

    def forget(event: Event) -> None:
        for identifier in forget_ids(event):
            policies.forget(identifier)

    follower = Follower(database, {"authorization:*": [forget], "grant:*": [forget], "entry:*": [forget]})
    follower.start()
    return follower


def socket_of(settings: Settings) -> Path:
    """Return where the process listens."""
    return settings.folder("run") / "forms.sock"


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped; return the exit code: 0 stopped, 1 refused to start."""
    parser = argparse.ArgumentParser(prog="python -m products.forms", description="Run models and data services.")
    parser.add_argument("--settings", type=Path, help="the installation's settings (SHUZHA_SETTINGS, else shuzha.toml)")
    options = parser.parse_args(arguments)
    start_logging()
    try:
        asyncio.run(run(load_settings(options.settings)))
    except (ShuzhaError, OSError) as error:
        sys.stderr.write(f"the forms refused to start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
