"""The records' tables as they should be, every room's store imported, and the migrations that get them there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import products.consumers.store
import products.consumers.webhook_store
import products.defence.store
import products.forms.querying.answers
import products.forms.store
import products.registry.store
import sandbox.airlock.memory.records
import sandbox.airlock.rulebook
import sandbox.airlock.store
import sandbox.inbound.store
import sandbox.workspaces.compute_store
import sandbox.workspaces.screen_store
import sandbox.workspaces.store
import shuzha.authorization.holds
import shuzha.authorization.store
import shuzha.budgets.store
import shuzha.catalog.store
import shuzha.exits.store
import shuzha.oversight.store
import shuzha.people.staff_store
import shuzha.people.store
import shuzha.releases.store
import shuzha.settlement.store
from shuzha.core.errors import Unavailable
from shuzha.core.records import METADATA
from shuzha.core.work import Database

# Imported so that METADATA holds every room's tables.
STORES = (
    products.registry.store, products.consumers.store, products.consumers.webhook_store, products.forms.store,
    products.forms.querying.answers,
    sandbox.airlock.memory.records, sandbox.airlock.rulebook,
    sandbox.airlock.store,
    sandbox.inbound.store, sandbox.workspaces.store, sandbox.workspaces.screen_store, sandbox.workspaces.compute_store,
    shuzha.authorization.holds, shuzha.authorization.store, shuzha.budgets.store, shuzha.catalog.store,
    shuzha.exits.store, shuzha.oversight.store,
    shuzha.people.staff_store, shuzha.people.store, shuzha.releases.store, shuzha.settlement.store,
)  # fmt: skip
_FOLDER = Path(__file__).parent / "migrations"


def migrate(database: Database) -> None:
    """Bring the database to the newest revision; nothing happens where it is there already."""
    with _connection(database) as connection:
        if _revision(connection) != newest_revision():
            command.upgrade(_config(connection), "head")


def check_current(database: Database) -> None:
    """Refuse to serve from a database that is not at the newest revision."""
    with _connection(database) as connection:
        found = _revision(connection)
    if found != newest_revision():
        raise Unavailable(
            f"the records are at revision {found or 'none'}, the code needs {newest_revision()}",
            accepted="`shuzha serve` migrates at its start",
        )


def newest_revision() -> str | None:
    """Return the revision that the code needs."""
    return ScriptDirectory(str(_FOLDER)).get_current_head()


def differences(database: Database) -> list[Any]:
    """Return what the migrations leave different from the code's tables: an empty list, or a migration is missing."""
    with _connection(database) as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA))


def write_revision(database: Database, message: str) -> None:
    """Write a new migration file from the difference between the migrated database and the code: for developers."""
    with _connection(database) as connection:
        command.revision(_config(connection), message, autogenerate=True)


@contextmanager
def _connection(database: Database) -> Iterator[sa.Connection]:
    with database.engine.connect() as connection, connection.begin():
        yield connection


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config
