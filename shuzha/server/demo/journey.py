"""The journey of the invented city's insurance register: from a provider's file to paid verification calls."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from shuzha.core.errors import Unavailable
from shuzha.server.demo import sheets
from shuzha.server.demo.calls import Verifier
from shuzha.server.demo.city import City, pick_subjects
from shuzha.server.demo.exits import Way, show_exits
from shuzha.server.demo.walk import HOPS, Done, Hop, Tell, Walk
from shuzha.server.platform import Platform

__all__ = ["HOPS", "Hop", "Journey"]

_SAMPLE_ROWS = 2_000
_CALLS_EACH = 10


class Journey(Walk):
    """The walk over the city's register."""

    notebook = sheets.NOTEBOOK
    context = sheets.CONTEXT
    price_hao = sheets.PRICE_HAO

    def __init__(self, platform: Platform, city: City, password: str, tell: Tell = lambda _hop: None) -> None:
        super().__init__(platform, password, tell)
        self.city = city

    def catalog(self) -> Done:
        """Hop 1: the provider drafts, has a sample scanned, submits; the authority publishes."""
        provider, authority = self.person("provider"), self.person("authority")
        entry = provider.post("/entries", sheets.entry_sheet())["entry"]
        scan = provider.upload(f"/entries/{entry['id']}/scan", self._sample())
        provider.post(f"/entries/{entry['id']}/accept-proposals")
        submitted = provider.post(f"/entries/{entry['id']}/submit")
        due = submitted["entry"]["due"]
        entry = authority.post(
            f"/entries/{entry['id']}/publish", {"reason": "要素齐全，分级从严 complete; the stricter grade holds"}
        )["entry"]
        provider.put("/budgets", {"entry": entry["id"], **sheets.PRIVACY_BUDGET})
        direct = [each["element"] for each in scan["findings"] if each["role"] == "direct"]
        said = f"entry {entry['code']} published at grade {entry['confirmed_grade']}; review was due {due}"
        return f"{said}; direct identifiers found: {', '.join(direct)}", {"entry": entry["id"]}

    def aggregate(self) -> Done:
        """Hop 2: a batch of raw data enters the raw zone, with a receipt."""
        provider = self.person("provider")
        path = self.city.path(sheets.REGISTER)
        batch = provider.upload(f"/entries/{self.made['entry']}/batches", path, mode="full")
        batch = provider.wait(f"/batches/{batch['id']}", _is_settled, "taking the batch in")
        if batch["refusal"]:
            raise Unavailable(f"the batch was refused: {batch['refusal']['message']}")
        receipt = batch["receipt"]
        said = f"{receipt['rows']:,} rows as version {receipt['delta_version']}, SHA-256 {receipt['sha256'][:16]}…"
        return said, {"batch": batch["id"], "rows": receipt["rows"]}

    def airlock(self) -> Done:
        """Hop 6: one request passes, one comes back and passes once it is mended, one is held back by differencing."""
        said, made = super().airlock()
        way = Way(
            self.platform.settings, self.password, self.person("analyst"),
            (self.person("checker1"), self.person("checker2")), self.made["workspace"], self.made["server"],
        )  # fmt: skip
        more, ids = show_exits(way)
        passed = {"notebook": self.notebook, "request": self.made["export"], "returned_for": [], "state": "released"}
        return f"passed: {said}\n{more}", made | ids | {"outputs": [passed, *ids["outputs"]]}

    def serve(self) -> Done:
        """Hop 8: a consumer's key asks; every answer is right, metered, and in the log before it is given."""
        consumer = self.person("consumer")
        body = {"product": self.made["product"], "name": "loan desk (demo)", "purposes": [sheets.PURPOSE]}
        key = consumer.post("/keys", body)
        calls = Verifier(self.platform.settings, key["secret"], self.made["product_code"])
        calls.wait_served()
        wrong, place = 0, 0
        subjects = pick_subjects(self.city, each=_CALLS_EACH).all()
        for subject in subjects:
            answer = calls.verify(subject.resident_id, subject.name)
            wrong += answer.result != subject.expected
            place = answer.log_index
        if wrong:
            raise Unavailable(f"{wrong} of {len(subjects)} answers were not what the city's truth says")
        proof = calls.proof(answer.usage_id)
        said = f"{len(subjects)} calls answered as the truth has it, the last at place {place} of the log, proof of "
        said += f"{len(proof['hashes'])} hashes"
        self.secret = key["secret"]
        return said, {"key": key["key"]["id"], "calls": len(subjects), "usage": answer.usage_id}

    def application(self, today: dt.date) -> dict[str, Any]:
        """Return the application to use the register for loan review."""
        return sheets.application(self.made["entry"], today)

    def demand(self, authorization: str, term: dict[str, str]) -> dict[str, Any]:
        """Return the demand of the scenario: loan review."""
        return sheets.demand(authorization, self.made["entry"], term)

    def deposit(self) -> dict[str, Any]:
        """Return the deposit of the verification product."""
        return sheets.deposit(self.made["export"], self.made["file"])

    def find_sold_file(self, files: Mapping[str, Any]) -> str:
        """Return the verification's specification; the table that left beside it describes the product."""
        return next(name for name, each in files.items() if each["form"] == "verification")

    def _sample(self) -> Path:
        """Return the first rows of the register as a file: what a provider gives to be scanned."""
        path = self.city.path(sheets.REGISTER)
        sample = path.with_name(f"sample{path.suffix}")
        if path.suffix == ".parquet":
            pl.scan_parquet(path).head(_SAMPLE_ROWS).sink_parquet(sample)
        else:
            with path.open("rb") as source, sample.open("wb") as target:
                target.writelines(islice(source, _SAMPLE_ROWS + 1))
        return sample


def _is_settled(batch: Any) -> bool:
    return batch["state"] in {"ingested", "refused"}
