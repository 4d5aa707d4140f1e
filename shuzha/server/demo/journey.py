"""The ten hops on a running platform, each by the people whose duty it is, over real sockets."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from shuzha.core.clock import city_date
from shuzha.core.errors import ShuzhaError, Unavailable
from shuzha.server.demo import sheets
from shuzha.server.demo.city import City
from shuzha.server.demo.client import Person, Portal
from shuzha.server.platform import Platform

HOPS = ("catalog", "aggregate", "authorize", "release", "sandbox", "airlock", "product", "serve", "settle", "oversee")


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of the report: its id, how long it took, what it proved, and the ids of what it made."""

    id: str
    seconds: float
    proved: str
    made: Mapping[str, Any]


@dataclass
class Journey:
    """The walk; `made` collects the ids that later hops need."""

    platform: Platform
    city: City
    password: str
    tell: Callable[[Hop], None] = lambda _hop: None
    made: dict[str, Any] = field(default_factory=dict)
    hops: list[Hop] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._portal = Portal(self.platform.settings)
        self._people: dict[str, Person] = {}

    def person(self, login: str) -> Person:
        """Return one of the cast, signed in."""
        if login not in self._people:
            self._people[login] = self._portal.sign_in(login, self.password)
        return self._people[login]

    def walk(self) -> tuple[Hop, ...]:
        """Walk all hops; an error names the hop that it came from."""
        for name in HOPS:
            started = time.monotonic()
            try:
                proved, made = getattr(self, name)()
            except ShuzhaError as error:
                raise Unavailable(f"hop {name} failed: {error}") from error
            self.made.update(made)
            hop = Hop(name, round(time.monotonic() - started, 2), proved, made)
            self.hops.append(hop)
            self.tell(hop)
        return tuple(self.hops)

    def catalog(self) -> tuple[str, dict[str, Any]]:
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
        direct = [each["element"] for each in scan["findings"] if each["role"] == "direct"]
        said = f"entry {entry['code']} published at grade {entry['confirmed_grade']}; review was due {due}"
        return f"{said}; direct identifiers found: {', '.join(direct)}", {"entry": entry["id"]}

    def aggregate(self) -> tuple[str, dict[str, Any]]:
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

    def authorize(self) -> tuple[str, dict[str, Any]]:
        """Hop 3: application, qualification, review, approval, publicity, two signatures; demand, check, grant."""
        operator, authority, provider = self.person("operator"), self.person("authority"), self.person("provider")
        today = city_date(self.platform.clock.now())
        found = operator.post("/authorizations", sheets.application(self.made["entry"], today))
        one = f"/authorizations/{found['id']}"
        checks = [{"fact": fact, "clear": True, "day": today.isoformat(), "evidence": "演示 demo"} for fact in _FACTS]
        authority.post(f"{one}/qualify", {"checks": checks, "reason": "资格条件符合 every fact is clear"})
        authority.post(f"{one}/review", {"score": 88, "reason": "专家评审通过 the experts agree"})
        authority.post(f"{one}/approve", {"number": "政数批〔2026〕12号（演示）", "reason": "同意 approved"})
        authority.post(f"{one}/publicize", {"reason": "公示无异议 shown in public"})
        operator.post(f"{one}/sign", {"reason": "签署 signed"})
        signed = authority.post(f"{one}/countersign", {"reason": "签署 signed"})
        demand = operator.post("/demands", sheets.demand(found["id"], self.made["entry"], signed["agreement"]["term"]))
        operator.post(f"/demands/{demand['id']}/submit")
        authority.post(f"/demands/{demand['id']}/check", {"reason": "场景清晰可实施 clear and implementable"})
        grant = provider.post(f"/demands/{demand['id']}/grant", {"reason": "最小必要 only what is needed"})
        said = f"agreement {signed['document'][:16]}… signed by {len(signed['signatures'])}; "
        said += f"grant of {len(grant['scope']['columns'])} columns, scope {grant['scope']['version'][:16]}…"
        return said, {"authorization": found["id"], "demand": demand["id"], "grant": grant["id"]}

    def release(self) -> tuple[str, dict[str, Any]]:
        """Hop 4: the grant's release is built, measured and certified."""
        operator = self.person("operator")
        release = operator.post("/releases", {"grant": self.made["grant"]})
        release = operator.wait(f"/releases/{release['id']}", lambda one: one["state"] != "building", "the release")
        if release["state"] != "ready":
            raise Unavailable(f"the release is {release['state']}: {release['reason']}")
        certificate = operator.get(f"/releases/{release['id']}/certificate")
        return _certified(release, certificate), {"release": release["id"]}

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


_SAMPLE_ROWS = 2_000
_FACTS = ("operation", "competence", "violations", "dishonesty", "dishonesty_head", "tax", "tax_head")


def _is_settled(batch: Any) -> bool:
    return batch["state"] in {"ingested", "refused"}


def _certified(release: Any, certificate: Any) -> str:
    return f"{release['rows']:,} rows"


def today_of(platform: Platform) -> dt.date:
    """Return the platform's day."""
    return city_date(platform.clock.now())
