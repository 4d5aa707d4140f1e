"""The platform's part: read a file, screen it, let it in, take it away with its workspace. Jobs that bear a repeat."""

from __future__ import annotations

import io
import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from sandbox.airlock.findings import Severity
from sandbox.inbound.base import Desk, grant_of, needed_address, releases_of
from sandbox.inbound.joining import joinable
from sandbox.inbound.model import IMPORT, ImportRequest, ImportState
from sandbox.inbound.screening import Key, Screened, screen
from sandbox.inbound.store import IMPORTS
from sandbox.workspaces.model import LIVING as OPEN_WORKSPACES
from sandbox.workspaces.store import WORKSPACES
from shuzha.catalog.store import ENTRIES
from shuzha.core.errors import Conflict, Invalid, NotAllowed, NotFound
from shuzha.core.work import Event, Work
from shuzha.people.store import ACCOUNTS
from shuzha.releases.certificate import DATA_FILE
from shuzha.releases.store import RELEASES

READ: Final = "inbound.read"
SCREEN: Final = "inbound.screen"
ADMIT: Final = "inbound.admit"
JOBS: Final = {"import:receive": READ, "import:submit": SCREEN, "import:approve": ADMIT}
"""The job to be asked for, with the event's subject, after an event."""
ENDING_TAGS: Final = ("workspace:close", "grant:close")
"""The events after which `Working.follow` takes away what was brought in."""

log = logging.getLogger(__name__)


class Working(Desk):
    """Read, screen, admit, follow, sweep."""

    def read(self, import_id: str) -> ImportRequest:
        """Read a received file in a process of its own, and return the request as a draft, or refused with the reason.

        The file as it came is not kept longer than this. Nothing is done in any other state.
        """
        with self._database.read() as work:
            request = work.get(IMPORTS, import_id)
        if request.state is not ImportState.RECEIVED:
            return request
        try:
            table, reading = self._parse(request)
        except Invalid as error:
            return self._settle(request, "refuse", "own file refused", reason=error.message)
        changes = {
            "kind": reading.kind, "rows": reading.rows, "columns": reading.columns, "formulas": reading.formulas,
            "data": {"rows": reading.rows, "columns": len(reading.columns)},
        }  # fmt: skip
        return self._settle(request, "read", "own file read", parsed=table, **changes)

    def screen(self, import_id: str) -> ImportRequest:
        """Screen a submitted file and return the request screened, or returned to its applicant where a rule blocks.

        The bytes that would enter are made here: what was judged is what enters. Nothing is done in any other state.
        """
        with self._database.read() as work:
            request = work.get(IMPORTS, import_id)
        if request.state is not ImportState.SUBMITTED:
            return request
        try:
            found = self._judge(request)
        except (Invalid, NotAllowed, NotFound) as error:
            return self._settle(request, "return", "own file returned", reason=error.message)
        if found.content is None:
            rules = sorted({one.rule for one in found.findings if one.severity is Severity.BLOCK})
            reason = f"blocked by {', '.join(rules)}"
            return self._settle(
                request, "return", "own file returned", reason=reason, findings=found.findings, keys=found.keys
            )
        return self._settle(
            request, "screen", "own file screened", findings=found.findings, closed=found.closed, keys=found.keys,
            outcome=found.content,
        )  # fmt: skip

    def admit(self, import_id: str) -> ImportRequest:
        """Let an approved file into its workspace and return the request imported; it is inside at once.

        Returned to its applicant instead where grant or workspace no longer allow it. The table read from the upload,
        which holds the raw key, is removed.
        """
        with self._database.read() as work:
            request = work.get(IMPORTS, import_id)
        if request.state is not ImportState.APPROVED:
            return request
        try:
            self._check_still_sound(request)
            with self._database.work(self._platform) as work:
                admitted = self._admit(work, work.get(IMPORTS, import_id))
        except (Invalid, NotAllowed, NotFound, Conflict) as error:
            return self._settle(
                request, "return", "own file could not enter", reason=error.message, outcome="", closed=()
            )
        self._forget(request.parsed)
        return admitted

    def follow(self, event: Event) -> None:
        """Take away what was brought into a workspace that was closed, or on a grant that was; bears a repeat."""
        grants = {event.subject, *map(str, event.data.get("grants", ()))}
        with self._database.read() as work:
            found = {one.id: one for grant in grants for one in work.list(IMPORTS, grant=grant)}
            found |= {one.id: one for one in work.list(IMPORTS, workspace=event.subject)}
        for request in found.values():
            self._destroy(request, f"{event.tag} of {event.subject}")

    def sweep(self) -> None:
        """Remove bytes that no request needs, as a crash between two steps may leave them."""
        with self._database.work(self._platform) as work:
            needed = {address for request in work.list(IMPORTS) for address in needed_address(request)}
            for address in set(self._vault.list_addresses()) - needed:
                self._vault.remove(address)

    def list_unfinished(self) -> tuple[tuple[str, str], ...]:
        """Return (job, request) of everything that the platform has yet to do."""
        turns = {ImportState.RECEIVED: READ, ImportState.SUBMITTED: SCREEN, ImportState.APPROVED: ADMIT}
        with self._database.read() as work:
            found = [one for state in turns for one in work.list(IMPORTS, state=state.value)]
        return tuple((turns[one.state], one.id) for one in found)

    def _parse(self, request: ImportRequest) -> tuple[bytes, Any]:
        self._parts.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self._parts.scratch) as folder:
            path = Path(folder) / "upload"
            path.write_bytes(self._vault.get(request.sha256))
            return self._parts.reader(path, request.file_name, self.rules)

    def _settle(
        self, request: ImportRequest, verb: str, said: str, *, reason: str = "", parsed: bytes | None = None,
        outcome: bytes | str | None = None, data: dict[str, Any] | None = None, **changes: Any,
    ) -> ImportRequest:  # fmt: skip
        """Make a move of the platform's if the request still stands where it was; forget what nobody needs then."""
        with self._database.work(self._platform) as work:
            standing = work.get(IMPORTS, request.id)
            if standing.state is not request.state or not IMPORT.can(standing.state, verb):
                return standing
            if parsed is not None:
                changes["parsed"] = self._vault.put(parsed)
            if outcome is not None:
                changes["outcome"] = self._vault.put(outcome) if isinstance(outcome, bytes) else outcome
            moved = self._move(work, self._platform, standing, verb, said, reason=reason, data=data, **changes)
        self._forget(standing.sha256, standing.parsed, standing.outcome)
        return moved

    def _judge(self, request: ImportRequest) -> Screened:
        with self._database.read() as work:
            workspace = self._workspace(work, request.workspace)
            releases = releases_of(work, workspace)
            self._check_applicant(work, request)
            key = self._key(work, request) if request.key else None
        frame = pl.read_parquet(io.BytesIO(self._vault.get(request.parsed)))
        released = [name for release in releases for name in release.columns]
        return screen(frame, request, released, self.rules, key)

    def _check_still_sound(self, request: ImportRequest) -> None:
        """Refuse a list that gives too much away together with one that entered after it was screened."""
        found = self._judge(request)
        if found.content is None or any(one.severity is Severity.BLOCK for one in found.closed):
            raise Invalid(
                "the file cannot enter beside what has entered since it was screened", rule="own.linkage",
                accepted="coarser or fewer columns",
            )  # fmt: skip

    def _check_applicant(self, work: Work, request: ImportRequest) -> None:
        """Refuse what the grant no longer gives the applicant; his rights count, not the platform's."""
        account = work.find(ACCOUNTS, request.author)
        if account is None or not account.active:
            raise NotAllowed("the applicant's account is not in use", rule="own.applicant", accepted="a new request")
        actor = account.actor("job")
        grant = grant_of(work, request)
        self._check_open(actor, request, grant, work)
        if request.key:
            self._check_join(actor, request, grant, request.joins, work)

    def _key(self, work: Work, request: ImportRequest) -> Key:
        release = work.get(RELEASES, request.release)
        technique = joinable(release).get(request.joins)
        data = self._parts.release_folder(release) / DATA_FILE
        if technique is None or not data.exists():
            raise Invalid(f"release {release.id} cannot be joined now", rule="own.key", accepted="a ready release")
        earlier = self._earlier(work, request)
        tables = tuple(pl.read_parquet(io.BytesIO(self._vault.get(one.outcome))) for one in earlier)
        asked = sum(one.keys for one in work.list(IMPORTS, authorization=request.authorization) if one.id != request.id)
        scan = work.get(ENTRIES, release.entry).scan
        found = scan.find(request.joins) if scan else None
        secret = self._parts.keys.scenario_key(release.authorization, release.demand, "pseudonym")
        return Key(request.joins, technique, secret, data, tables, asked, found.types if found else ())

    def _earlier(self, work: Work, request: ImportRequest) -> list[ImportRequest]:
        """Return the scenario's other lists on the same column that entered a workspace which still lives.

        Also those that were approved and are about to enter, and those that were removed since.
        """
        entered = {ImportState.APPROVED, ImportState.IMPORTED, ImportState.REMOVED}
        return [
            one
            for one in work.list(IMPORTS, demand=request.demand)
            if one.id != request.id and one.state in entered and one.outcome and one.joins == request.joins
            and work.get(WORKSPACES, one.workspace).state in OPEN_WORKSPACES
        ]  # fmt: skip

    def _admit(self, work: Work, request: ImportRequest) -> ImportRequest:
        workspace = self._workspace(work, request.workspace)
        self._check_applicant(work, request)
        zone = self._parts.zone
        zone.remove(workspace.name, request.name)  # What an interrupted run of this job left.
        zone.put(workspace.name, request.name, self._vault.get(request.outcome))
        data = {"outcome": request.outcome, "columns": list(request.entering())}
        return self._move(work, self._platform, request, "admit", "own file let in", data=data, parsed="")

    def _destroy(self, request: ImportRequest, reason: str) -> None:
        """Take a request's file out of its workspace and forget all bytes of it, whatever its state."""
        if request.name:
            self._parts.zone.remove(request.workspace_name, request.name)
        with self._database.work(self._platform) as work:
            standing = work.get(IMPORTS, request.id)
            verb = "remove" if standing.state is ImportState.IMPORTED else "withdraw"
            if IMPORT.can(standing.state, verb):
                self._move(
                    work, self._platform, standing, verb, "own file destroyed", reason=reason, parsed="", outcome=""
                )
            elif standing.outcome:  # The pseudonyms of a list that was removed before its workspace was closed.
                work.save(IMPORTS, replace(standing, outcome=""))
        self._forget(standing.sha256, standing.parsed, standing.outcome)
