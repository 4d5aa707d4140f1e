"""Witnesses of the logs: whom the regulator trusts to cosign checkpoints, and what each has cosigned.

A witness runs on its own machine with its own key (`shuzha/ledger/witness.py`). Nothing here waits for it: while it is
away calls are answered and logged as ever, and pages say how much of a log nobody but the platform vouches for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from policies import Context, Policies, Resource
from shuzha.core.actor import Actor
from shuzha.core.errors import Conflict, Invalid, NotFound, ShuzhaError, Unavailable
from shuzha.core.ids import new_id
from shuzha.core.work import Database
from shuzha.ledger.cosignature import Cosigned, WitnessKey, find_cosigned, keep_cosigned, verify_cosigned
from shuzha.ledger.reader import LogReader
from shuzha.oversight.logs import LOGS
from shuzha.oversight.store import WITNESSES, WitnessRecord

AWAY = dt.timedelta(minutes=15)
MAX_NOTE = 8_192


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a witness has cosigned one log: `size` of `entries`, when, and whether it has been away since."""

    witness: str
    name: str
    log: str
    entries: int
    size: int
    at: dt.datetime | None
    away: bool

    @property
    def behind(self) -> int:
        """How many entries under a signed checkpoint no cosignature of this witness covers."""
        return max(0, self.entries - self.size)


class Witnesses:
    """Registering witnesses, taking their cosignatures, and saying what is cosigned."""

    def __init__(self, database: Database, policies: Policies, folder: Path) -> None:
        self._database = database
        self._policies = policies
        self._folder = folder

    def register(self, actor: Actor, key: str) -> WitnessRecord:
        """Return a witness that counts from now on; refuses a key that is no witness's, and one that is known."""
        line = key.strip()
        name = WitnessKey.parse(line).name
        with self._database.work(actor) as work:
            self._policies.check(actor, "witness:register", Resource("witness"), Context(at=work.now()))
            if any(one.key == line or one.name == name for one in work.list(WITNESSES) if one.retired_at is None):
                raise Conflict(f"witness {name} is registered already", rule="witness.unique", accepted="another name")
            made = WitnessRecord(new_id("wit"), line, actor.organisation, actor.id, work.now())
            work.add(WITNESSES, made)
            work.emit("witness:register", made.id, f"witness {name} registered", data={"key": line})
        return made

    def retire(self, actor: Actor, witness_id: str, reason: str) -> WitnessRecord:
        """Return the witness retired: its cosignatures are kept, and no new one is taken."""
        if not reason.strip() or len(reason) > 1000:
            raise Invalid("a decision without a reason", rule="decision.reason", accepted="a sentence that says why")
        with self._database.work(actor) as work:
            found = work.get(WITNESSES, witness_id)
            self._policies.check(actor, "witness:retire", Resource("witness", found.id), Context(at=work.now()))
            if found.retired_at is not None:
                raise Invalid(f"witness {found.name} is retired already", rule="witness.retired")
            saved = work.save(WITNESSES, replace(found, retired_at=work.now()))
            work.emit("witness:retire", saved.id, f"witness {saved.name} retired", data={"reason": reason.strip()})
        return saved

    def take(self, log: str, note: str) -> Seen:
        """Keep a cosigned checkpoint that anybody brings, for its signatures are its right to be kept.

        Refuses a note that the log's key did not sign or no registered witness cosigned, and (Conflict) one that this
        log contradicts.
        """
        if len(note) > MAX_NOTE:
            raise Invalid("this note is too long", rule="c2sp.signed_note", accepted=f"at most {MAX_NOTE} letters")
        reader = self._open(log)
        try:
            reader.key.verify(note)
            for record in self._list():
                key = WitnessKey.parse(record.key)
                try:
                    found = verify_cosigned(note, reader.key, key)
                except Invalid:
                    continue
                keep_cosigned(reader, found, key)
                return self._seen(reader, log, record)
        finally:
            reader.close()
        raise Invalid(
            "no registered witness cosigned this checkpoint", rule="witness.known",
            accepted="a cosignature by a witness whose key the regulator registered",
        )  # fmt: skip

    def list_witnesses(self, actor: Actor) -> tuple[WitnessRecord, ...]:
        """Return the witnesses, retired ones too, oldest first; for regulator and authority."""
        with self._database.read() as work:
            self._policies.check(actor, "ledger:view", Resource("ledger"), Context(at=work.now()))
            return work.list(WITNESSES)

    def list_seen(self) -> tuple[Seen, ...]:
        """Return how far each witness in office has cosigned each log; this is public, as the cosignatures are."""
        records, found = self._list(), []
        for log in LOGS:
            try:
                reader = self._open(log)
            except NotFound:
                continue
            try:
                found += [self._seen(reader, log, record) for record in records]
            except (Unavailable, ShuzhaError):
                continue  # A log before its first checkpoint, or one whose checkpoint does not hold: `Logs` says so.
            finally:
                reader.close()
        return tuple(found)

    def _seen(self, reader: LogReader, log: str, record: WitnessRecord) -> Seen:
        entries = reader.checkpoint().size
        newest: Cosigned | None = find_cosigned(reader, WitnessKey.parse(record.key))
        if newest is None:
            late = self._database.clock.now() - record.registered_at > AWAY
            return Seen(record.id, record.name, log, entries, 0, None, late and entries > 0)
        at = dt.datetime.fromtimestamp(newest.at, dt.UTC)
        away = newest.checkpoint.size < entries and self._database.clock.now() - at > AWAY
        return Seen(record.id, record.name, log, entries, newest.checkpoint.size, at, away)

    def _list(self) -> Iterable[WitnessRecord]:
        with self._database.read() as work:
            return tuple(one for one in work.list(WITNESSES) if one.retired_at is None)

    def _open(self, log: str) -> LogReader:
        if log not in LOGS:
            raise NotFound(f"no log `{log[:40]}`", accepted=", ".join(LOGS))
        return LogReader(self._folder / log)
