"""The unit of work: what one verb changes, and the events that say so, are stored together or not at all.

An *event* is one row of the outbox, written in the same transaction as the change. It carries the seven fields of Z20
art. 32 (approach, user, approver, content, time, method, medium) for the audit log, and data for its subscribers.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from shuzha.core.actor import Actor
from shuzha.core.clock import Clock
from shuzha.core.errors import Conflict, NotFound
from shuzha.core.ids import new_id
from shuzha.core.records import METADATA, Noun, UTCDateTime, check_text, is_text, unkept_text

Record = TypeVar("Record")

OUTBOX = sa.Table(
    "outbox",
    METADATA,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(40), nullable=False, unique=True),
    sa.Column("tag", sa.String(80), nullable=False),
    sa.Column("subject", sa.String(80), nullable=False, index=True),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("approach", sa.String(40), nullable=False),
    sa.Column("user", sa.String(80), nullable=False),
    sa.Column("approver", sa.String(80)),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("time", UTCDateTime, nullable=False),
    sa.Column("method", sa.String(40), nullable=False),
    sa.Column("medium", sa.String(40), nullable=False),
    sqlite_autoincrement=True,
)
CURSORS = sa.Table(
    "outbox_cursor",
    METADATA,
    sa.Column("consumer", sa.String(80), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: `tag` is `<noun>:<verb>`, `subject` the thing's id; then the seven audit fields."""

    sequence: int
    id: str
    tag: str
    subject: str
    data: Mapping[str, Any]
    approach: str
    user: str
    approver: str | None
    content: str
    time: dt.datetime
    method: str
    medium: str


class Work:
    """One open transaction and the verbs on records; made by `Database.work` and `Database.read`."""

    def __init__(self, connection: sa.Connection, clock: Clock, actor: Actor | None) -> None:
        self.connection = connection
        self._clock = clock
        self._actor = actor

    def now(self) -> dt.datetime:
        """Return the present moment."""
        return self._clock.now()

    def find(self, noun: Noun[Record], identifier: str) -> Record | None:
        """Return the record of this id, or None."""
        if not is_text(identifier):
            return None
        statement = sa.select(noun.table).where(noun.table.c.id == identifier)
        row = self.connection.execute(statement).mappings().first()
        return None if row is None else noun.from_row(row)

    def get(self, noun: Noun[Record], identifier: str) -> Record:
        """Return the record of this id, or raise NotFound."""
        record = self.find(noun, identifier)
        if record is None:
            raise NotFound(no_record(noun, identifier))
        return record

    def list(self, noun: Noun[Record], *where: Any, newest_first: bool = False, **equal: Any) -> tuple[Record, ...]:
        """Return the records whose columns equal these values and meet `where`, oldest first (ids are time-ordered)."""
        table = noun.table
        if not all(is_text(value) for value in equal.values() if isinstance(value, str)):
            return ()
        conditions = [table.c[key] == value for key, value in equal.items()]
        order = table.c.id.desc() if newest_first else table.c.id
        rows = self.connection.execute(sa.select(table).where(*conditions, *where).order_by(order)).mappings()
        return tuple(noun.from_row(row) for row in rows)

    def add(self, noun: Noun[Record], record: Record) -> Record:
        """Store a new record; raises Conflict where one of its unique fields is taken."""
        try:
            with _keepable(), self.connection.begin_nested():
                self.connection.execute(sa.insert(noun.table).values(**noun.to_row(record)))
        except sa.exc.IntegrityError as error:
            raise Conflict(f"cannot add to {noun.name}: {_broken_rule(error)}", rule=f"{noun.name}.unique") from None
        return record

    def save(self, noun: Noun[Record], record: Record) -> Record:
        """Store a changed record and return it with its next revision; raises Conflict when someone was faster."""
        revision: int = record.revision  # type: ignore[attr-defined]
        fresh: Record = dataclasses.replace(record, revision=revision + 1)  # type: ignore[type-var]
        table = noun.table
        row = noun.to_row(fresh)
        statement = sa.update(table).where(table.c.id == row["id"], table.c.revision == revision).values(**row)
        with _keepable():
            changed = self.connection.execute(statement).rowcount
        if changed != 1:
            raise Conflict(f"{noun.name} {row['id']} was changed by someone else", accepted="reload and try again")
        return fresh

    def emit(
        self,
        tag: str,
        subject: str,
        content: str,
        *,
        data: Mapping[str, Any] | None = None,
        approver: str | None = None,
        method: str = "service",
        medium: str = "database",
    ) -> str:
        """Write one event into the outbox and return its id; `content` says what was handled, never a data value."""
        if self._actor is None:
            raise TypeError("a read-only work emits no event")
        event_id = new_id("evt")
        check_text(content)
        with _keepable():
            told = msgspec.json.encode(dict(data or {})).decode()
        self.connection.execute(
            sa.insert(OUTBOX).values(
                id=event_id, tag=tag, subject=subject, data=told,
                approach=self._actor.via, user=self._actor.id, approver=approver, content=content,
                time=self.now(), method=method, medium=medium,
            )
        )  # fmt: skip
        return event_id


def no_record(noun: Noun[Any], identifier: str) -> str:
    """Return what is said of a record that is not there, or that the caller may not see: no one can tell which."""
    return f"no {noun.name} with id {identifier}"


@contextmanager
def _keepable() -> Iterator[None]:
    """Turn a failure over half a surrogate pair, somewhere inside a nested value, into a refusal."""
    try:
        yield
    except UnicodeEncodeError:
        raise unkept_text() from None
    except sa.exc.StatementError as error:
        if isinstance(error.orig, UnicodeEncodeError):
            raise unkept_text() from None
        raise


def _broken_rule(error: sa.exc.IntegrityError) -> str:
    # SQLite names the columns, PostgreSQL the constraint; neither first line holds a value.
    return str(error.orig).splitlines()[0]


class Database:
    """The records store of one process: SQLite in WAL mode by default, PostgreSQL by its URL."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self.engine = _engine(url)

    @contextmanager
    def work(self, actor: Actor) -> Iterator[Work]:
        """Open a writing transaction for `actor`: committed when the block ends, rolled back when it raises."""
        with self.engine.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                # One writer at a time, as on SQLite: outbox sequence order is then commit order.
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7150)"))
            yield Work(connection, self.clock, actor)

    @contextmanager
    def read(self) -> Iterator[Work]:
        """Open a reading transaction; nothing in it can emit an event."""
        with self.engine.connect() as connection:
            connection.execution_options(shuzha_read=True)
            with connection.begin():
                yield Work(connection, self.clock, None)

    def events_after(self, sequence: int, limit: int = 500) -> tuple[Event, ...]:
        """Return the events after this sequence number, in the order in which they were committed."""
        statement = sa.select(OUTBOX).where(OUTBOX.c.sequence > sequence).order_by(OUTBOX.c.sequence).limit(limit)
        with self.engine.connect() as connection:
            rows = connection.execute(statement).mappings().all()
        return tuple(Event(**{**row, "data": msgspec.json.decode(row["data"])}) for row in rows)

    def find_event(self, tag: str, subject: str) -> str | None:
        """Return the id of the newest event of this tag about a thing, or None."""
        statement = (
            sa.select(OUTBOX.c.id)
            .where(OUTBOX.c.tag == tag, OUTBOX.c.subject == subject)
            .order_by(OUTBOX.c.sequence.desc())
            .limit(1)
        )
        with self.engine.connect() as connection:
            return connection.execute(statement).scalar()

    def last_sequence(self) -> int:
        """Return the sequence number of the newest event, 0 when there is none."""
        with self.engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.max(OUTBOX.c.sequence))).scalar() or 0)

    def create_tables(self) -> None:
        """Create every table directly: for tests; installations migrate with Alembic."""
        METADATA.create_all(self.engine)


def _engine(url: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True)
    path = url.removeprefix("sqlite:///")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy emits BEGIN itself, below.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        read = connection.get_execution_options().get("shuzha_read", False)
        connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")

    return engine
