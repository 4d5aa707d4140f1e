"""The records on a real PostgreSQL: migrated to the same tables, with the same verbs, locks and outbox order."""

import dataclasses
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from policies import NoScopes, Policies
from shuzha.core.actor import platform_actor
from shuzha.core.clock import SystemClock
from shuzha.core.errors import Conflict, Invalid
from shuzha.core.outbox import Follower
from shuzha.core.work import Database
from shuzha.people.model import Organisation, OrganisationKind
from shuzha.people.service import People
from shuzha.people.store import ACCOUNTS, ORGANISATIONS
from shuzha.server import schema

ACTOR = platform_actor("test")
PASSWORD = "a-long-Passphrase-1"
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def as_postgres(*command: str | Path) -> None:
    """Run a command of the server's, which refuses to be root."""
    user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    subprocess.run([*map(str, command)], check=True, capture_output=True, timeout=60, cwd="/tmp", **user)


@pytest.fixture(scope="module")
def server():
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed: apt-get install -y postgresql")
    binaries = BINARIES[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="szpg-", dir="/tmp"))
    if os.geteuid() == 0:
        found = pwd.getpwnam("postgres")
        os.chown(folder, found.pw_uid, found.pw_gid)
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    try:
        as_postgres(binaries / "initdb", "-D", folder / "data", "-U", "shuzha", "--auth=trust", "-E", "UTF8")
        as_postgres(binaries / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
        yield f"postgresql+psycopg://shuzha@/postgres?host={folder}"
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            as_postgres(binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def database(server):
    found = Database(server, SystemClock())
    schema.migrate(found)
    yield found
    found.engine.dispose()


def test_migrations_make_the_tables_that_the_code_has(database):
    schema.check_current(database)
    assert schema.differences(database) == []


def test_people_sign_in_and_a_duplicate_is_refused_by_its_rule(database):
    people = People(database, Policies(NoScopes()), csrf_key=b"k" * 32)
    account = people.bootstrap(login="admin", password=PASSWORD, name="系统管理员")
    signed_in = people.sign_in("admin", PASSWORD)
    admin = people.actor_of_session(signed_in.token, "api")
    assert admin is not None
    assert admin.id == account.id
    about = {"name": "人社局", "kind": OrganisationKind.DEPARTMENT, "responsible_person": "周正"}
    people.create_organisation(admin, code="hrss", **about)
    with pytest.raises(Conflict) as refused:
        people.create_organisation(admin, code="hrss", **about)
    assert "人社局" not in str(refused.value)


def test_save_refuses_the_one_who_was_slower(database):
    with database.work(ACTOR) as work:
        (account,) = work.list(ACCOUNTS, login="admin")
        work.save(ACCOUNTS, dataclasses.replace(account, name="一"))
        with pytest.raises(Conflict):
            work.save(ACCOUNTS, dataclasses.replace(account, name="二"))


def test_the_database_itself_refuses_a_state_outside_the_table(database):
    with database.work(ACTOR) as work:
        (account,) = work.list(ACCOUNTS, login="admin")
    row = ACCOUNTS.to_row(account) | {"id": "acc_x", "login": "x", "handle": "u-x", "state": "broken"}
    with pytest.raises(sa.exc.IntegrityError), database.engine.connect() as connection:
        connection.execute(sa.insert(ACCOUNTS.table).values(**row))


def test_events_of_many_connections_are_heard_once_each_in_commit_order(database):
    heard = []
    follower = Follower(database, {"light:*": [heard.append]}, durable_name="t")
    follower.step()

    def emit(name):
        for number in range(15):
            with database.work(ACTOR) as work:
                work.emit("light:switch", f"{name}{number}", "switched")

    threads = [threading.Thread(target=emit, args=(name,)) for name in "abcd"]
    [thread.start() for thread in threads]
    while any(thread.is_alive() for thread in threads):
        follower.step()
    [thread.join() for thread in threads]
    follower.step()
    assert len(heard) == len({event.subject for event in heard}) == 60
    assert [event.sequence for event in heard] == sorted(event.sequence for event in heard)


def test_text_that_cannot_be_kept_is_refused_and_found_nowhere(database):
    actor = platform_actor("test")
    for text in ("a\0b", "\ud800"):
        with database.read() as work:
            assert work.find(ORGANISATIONS, text) is None
            assert work.list(ORGANISATIONS, code=text) == ()
        with pytest.raises(Invalid, match="cannot be kept"), database.work(actor) as work:
            work.emit("note:say", "x", text)
        made = Organisation("org_x", "x", text, "", OrganisationKind.CONSUMER, "x", database.clock.now())
        with pytest.raises(Invalid, match="cannot be kept"), database.work(actor) as work:
            work.add(ORGANISATIONS, made)
    with database.work(actor) as work:
        work.emit("note:say", "x", "嗨 \"'; drop table x --")
