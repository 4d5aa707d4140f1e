"""The journey of any CSV or Parquet file: imported as `shuzha import` does, sold as a report of counts.

Such a file may have no subject to verify, so its product is a data report: a table over two of its columns.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shuzha.catalog.model import ElementType, Entry, Receipt, Role
from shuzha.core.errors import Invalid, Unavailable
from shuzha.core.ids import new_id
from shuzha.core.service_user import acting_as, choose_user
from shuzha.server.demo import report_sheets as sheets
from shuzha.server.demo.calls import Fetcher
from shuzha.server.demo.client import Refused
from shuzha.server.demo.walk import Done, Tell, Walk
from shuzha.server.importing import Imported, Importer, ImportRequest
from shuzha.server.platform import Platform

MOST_VALUES = 24
ROWS_A_CELL = 30
_FETCHES = 3
_LABELS = frozenset({ElementType.TEXT, ElementType.INTEGER, ElementType.BOOLEAN})
_NEVER = frozenset({Role.DIRECT, Role.FREE_TEXT})


class FileJourney(Walk):
    """The walk over a given file."""

    notebook = sheets.NOTEBOOK
    context = sheets.CONTEXT
    price_hao = sheets.PRICE_HAO

    def __init__(self, platform: Platform, file: Path, password: str, tell: Tell = lambda _hop: None) -> None:
        super().__init__(platform, password, tell)
        self.file = file

    def catalog(self) -> Done:
        """Hop 1: the provider imports the file as a draft; the authority publishes what the scan found."""
        provider, authority = self.person("provider"), self.person("authority")
        entry = self._import().entry
        provider.post(f"/entries/{entry.id}/submit")
        reason = "要素齐全，分级从严 complete; the stricter grade holds"
        published = authority.post(f"/entries/{entry.id}/publish", {"reason": reason})["entry"]
        whose = f"rows of {entry.entity_key}" if entry.entity_key else "no subject: each row is one"
        said = f"{self.file.name}: entry {entry.code}, {len(entry.elements)} columns, {whose}; "
        return said + f"published at grade {published['confirmed_grade']}", {"entry": entry.id}

    def aggregate(self) -> Done:
        """Hop 2: the same file, imported again, is the published entry's first batch; two columns are chosen by it."""
        found = self._import()
        batch = found.batch
        if batch is None or batch.receipt is None:
            why = batch.refusal.message if batch and batch.refusal else "it was not taken in"
            raise Unavailable(f"the batch has no receipt: {why}")
        receipt = batch.receipt
        columns = choose_columns(found.entry, receipt)
        said = f"{receipt.rows:,} rows as version {receipt.delta_version}, SHA-256 {receipt.sha256[:16]}…; "
        said += f"chosen for the table, as columns of few values: {' × '.join(columns)}"
        made = {"batch": batch.id, "rows": receipt.rows, "columns": list(columns)}
        return said, made | {"entity_key": found.entry.entity_key}

    def serve(self) -> Done:
        """Hop 8: a consumer's key fetches the report, each time metered; another purpose is refused for free."""
        body = {"product": self.made["product"], "name": "research desk (demo)", "purposes": [sheets.PURPOSE]}
        key = self.person("consumer").post("/keys", body)
        self.secret = key["secret"]
        calls = Fetcher(self.platform.settings, self.secret, self.made["product_code"])
        calls.wait_served()
        name = self.made["file"]
        fetched = [calls.fetch(name, sheets.PURPOSE) for _ in range(_FETCHES - 1)]
        again = new_id("idk")
        fetched += [calls.fetch(name, sheets.PURPOSE, again)]
        repeated = calls.fetch(name, sheets.PURPOSE, again)
        digests = {hashlib.sha256(each.content).hexdigest() for each in (*fetched, repeated)}
        if len(digests) != 1 or repeated.log_index != fetched[-1].log_index:
            raise Unavailable("the report is not the same file each time, or a repeated fetch was charged twice")
        code = self._refusal(calls, name)
        proof = calls.proof(fetched[-1].usage_id)
        size, count = len(fetched[-1].content), len(fetched)
        said = f"{name} of {size:,} bytes fetched {count} times, a repeat not charged; another purpose: {code}; "
        said += f"the last at place {fetched[-1].log_index} of the log, proof of {len(proof['hashes'])} hashes"
        return said, {"key": key["key"]["id"], "calls": count, "usage": fetched[-1].usage_id, "sha256": digests.pop()}

    def application(self, today: dt.date) -> dict[str, Any]:
        """Return the application to make reports of the file's entry."""
        return sheets.application(self.made["entry"], today)

    def demand(self, authorization: str, term: dict[str, str]) -> dict[str, Any]:
        """Return the demand for the two columns of the table, and whose data a row is: people are counted, not rows."""
        key = self.made["entity_key"]
        columns = [*self.made["columns"], *([key] if key and key not in self.made["columns"] else [])]
        return sheets.demand(authorization, self.made["entry"], columns, term)

    def deposit(self) -> dict[str, Any]:
        """Return the deposit of the report."""
        return sheets.deposit(self.made["export"], self.made["file"], self.made["columns"], self.made["rows"])

    def find_sold_file(self, files: Mapping[str, Any]) -> str:
        """Return the table that left."""
        return next(name for name, each in files.items() if each["form"] == "table")

    def _import(self) -> Imported:
        people = self.platform.people
        session = people.sign_in("provider", self.password, "cli")
        try:
            importer = Importer(self.platform, session.account.actor("cli"))
            settings = self.platform.settings
            # What root left in the raw zone the worker could not read.
            with acting_as(choose_user(settings.service_user, settings.data), self.file):
                return importer.run(ImportRequest(self.file, sheets.CODE))
        finally:
            people.sign_out(session.token)

    @staticmethod
    def _refusal(calls: Fetcher, name: str) -> str:
        try:
            calls.fetch(name, "advertising")
        except Refused as error:
            return error.code
        raise Unavailable("a fetch for a purpose that nobody granted was answered")


def choose_columns(entry: Entry, receipt: Receipt) -> tuple[str, str]:
    """Return two columns for a table of counts: many values (up to 24) down, few across; about 30 rows a cell or more.

    Refuses an entry without two columns of 2 to 24 different values that name nobody and are no free text.
    """
    quality = {one.name: one for one in receipt.quality}
    fit = {
        one.name: quality[one.name].distinct
        for one in entry.elements
        if one.type in _LABELS and one.role not in _NEVER and 2 <= quality[one.name].distinct <= MOST_VALUES
    }
    by_count = sorted(fit, key=lambda name: fit[name])
    if len(by_count) < 2:
        raise Invalid(
            f"{entry.code} has no two columns for a table of counts", rule="demo.columns",
            accepted=f"two columns of 2 to {MOST_VALUES} different values that name nobody",
        )  # fmt: skip
    across, *rest = by_count
    roomy = [name for name in rest if fit[name] * fit[across] * ROWS_A_CELL <= receipt.rows]
    return (roomy[-1] if roomy else rest[0]), across
