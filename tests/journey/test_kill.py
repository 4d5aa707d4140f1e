"""Kill -9 of API and writer while a thousand calls are made: what was acknowledged is metered, logged, billed, once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from journey_kit import Walked, wait_until

from shuzha.core.clock import OffsetClock, city_date, start_of_day
from shuzha.ledger.verify import verify_folder
from shuzha.server.demo import sheets
from shuzha.server.demo.calls import Verifier
from shuzha.server.demo.city import Subject, pick_subjects
from shuzha.server.demo.client import Refused

CALLS = 1000
THREADS = 8
DEADLINE = 100.0
RETRIED = frozenset({429, 503})


@dataclass
class Campaign:
    """A thousand calls under kills: the use acknowledged for each idempotency key, and how often it was tried again."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    retries: int = 0
    kills: list[str] = field(default_factory=list)
    key: str = ""
    secret: str = ""
    period: str = ""
    before: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str, usage_id: str, *, right: bool) -> None:
        with self._lock:
            self.acknowledged[name] = usage_id
            if not right:
                self.wrong.append(name)

    def note_retry(self) -> None:
        with self._lock:
            self.retries += 1

    @property
    def count(self) -> int:
        return len(self.acknowledged)


def insist(calls: Verifier, subject: Subject, name: str, campaign: Campaign, until: float) -> None:
    """Ask under one idempotency key until it is answered, as a consumer's program should."""
    while True:
        assert time.monotonic() < until, f"{name} was not answered in {DEADLINE} s"
        try:
            answer = calls.verify(subject.resident_id, subject.name, idempotency_key=name)
        except httpx.TransportError:
            campaign.note_retry()
        except Refused as refusal:
            if refusal.status not in RETRIED:
                raise
            campaign.note_retry()
        else:
            campaign.note(name, answer.usage_id, right=answer.result == subject.expected)
            return
        time.sleep(0.02)


def kill(walked: Walked, unit: str, campaign: Campaign) -> None:
    """Kill a unit and return once the supervisor has another in its place."""
    before = walked.running.pid(unit)
    os.kill(before, signal.SIGKILL)
    campaign.kills.append(unit)
    wait_until(lambda: walked.running.pid(unit) != before, 10, f"another {unit}")


def kill_all_along(walked: Walked, campaign: Campaign) -> None:
    for number, units in enumerate((("writer",), ("api",), ("api", "writer"), ("writer",)), 1):
        wanted = number * CALLS // 6
        wait_until(lambda wanted=wanted: campaign.count >= wanted, DEADLINE, f"{wanted} answers")
        for unit in units:
            kill(walked, unit, campaign)


@pytest.fixture(scope="module")
def campaign(walked: Walked) -> Campaign:
    """A thousand calls of one new key from several programs, while API and writer are killed again and again."""
    consumer = walked.person("consumer")
    body = {"product": walked.made["product"], "name": "campaign", "purposes": [sheets.PURPOSE], "rate": 5000}
    made = consumer.post("/keys", body)
    walked.verifier(made["secret"]).wait_served()
    found = Campaign(
        key=made["key"]["id"], secret=made["secret"], period=f"{city_date(walked.platform.clock.now()):%Y-%m}"
    )
    found.before = reconciled(walked, found.period)["metered"]
    subjects = pick_subjects(walked.city, each=25).all()
    began = time.monotonic()

    def some(first: int) -> None:
        calls = walked.verifier(made["secret"])
        for number in range(first, CALLS, THREADS):
            insist(calls, subjects[number % len(subjects)], f"campaign-{number}", found, began + DEADLINE)

    with ThreadPoolExecutor(THREADS + 1) as pool:
        work = [pool.submit(some, first) for first in range(THREADS)]
        work.append(pool.submit(kill_all_along, walked, found))
        for one in work:
            one.result()
    found.seconds = time.monotonic() - began
    print(f"\n{CALLS} calls in {found.seconds:.1f} s, {found.retries} tried again, kills: {', '.join(found.kills)}")
    return found


def reconciled(walked: Walked, period: str, **query: str) -> Any:
    return walked.person("regulator").get("/statements/reconciliation", period=period, **query)


def uses(walked: Walked, campaign: Campaign) -> list[dict[str, Any]]:
    """Return every use that the meter holds of the campaign's key, as the consumer API lists them."""
    found, before = [], ""
    headers = {"Authorization": f"Bearer {walked.journey.secret}"}
    address = f"http://{walked.settings.bind}:{walked.settings.api_port}/v1/usage"
    while True:
        query = {"period": campaign.period, "limit": "500"} | ({"before": before} if before else {})
        page = httpx.get(address, params=query, headers=headers, timeout=30).raise_for_status().json()["items"]
        if not page:
            return [use for use in found if use["key_id"] == campaign.key]
        found += page
        before = str(page[-1]["log_index"])


def test_kills_lose_no_acknowledged_call_and_count_none_twice(campaign: Campaign, walked: Walked) -> None:
    assert campaign.count == CALLS
    assert campaign.wrong == []
    acknowledged = set(campaign.acknowledged.values())
    assert len(acknowledged) == CALLS, "one use was acknowledged for two calls"
    metered = Counter(use["usage_id"] for use in uses(walked, campaign))
    assert set(metered) == acknowledged
    assert set(metered.values()) == {1}
    assert campaign.retries > 0, "no call met a kill"


def test_kills_leave_a_sound_log_with_every_use_in_it(campaign: Campaign, walked: Walked) -> None:
    counts = reconciled(walked, campaign.period)
    assert counts["logged"] == counts["metered"] == campaign.before + CALLS
    report = verify_folder(walked.settings.folder("logs") / "usage", None, None, None)
    assert report.sound, report.faults


def test_repeats_after_the_kills_get_the_first_answer_for_nothing(campaign: Campaign, walked: Walked) -> None:
    subjects = pick_subjects(walked.city, each=25).all()
    before = reconciled(walked, campaign.period)["metered"]
    calls = walked.verifier(campaign.secret)
    for number in (0, CALLS // 2, CALLS - 1):
        subject = subjects[number % len(subjects)]
        again = calls.verify(subject.resident_id, subject.name, idempotency_key=f"campaign-{number}")
        assert again.usage_id == campaign.acknowledged[f"campaign-{number}"]
    assert reconciled(walked, campaign.period)["metered"] == before


def test_acknowledged_is_metered_is_billed_when_the_month_ends(campaign: Campaign, walked: Walked) -> None:
    clock = walked.platform.clock
    assert isinstance(clock, OffsetClock)
    now = clock.now()
    next_month = (city_date(now).replace(day=1) + timedelta(days=32)).replace(day=1)
    clock.advance(start_of_day(next_month) + timedelta(minutes=5) - now)
    statements = walked.person("authority").post("/statements", {"period": campaign.period})
    counts = reconciled(walked, campaign.period, acknowledged=str(campaign.before + CALLS))
    assert counts["equal"], counts
    assert counts["acknowledged"] == counts["logged"] == counts["metered"] == counts["billed"]
    bill = next(each for each in statements if each["kind"] == "bill")
    assert bill["due_fen"] == ((campaign.before + CALLS) * sheets.PRICE_HAO + 50) // 100
    assert counts["billed_fen"] == counts["shared_fen"] == bill["due_fen"]
    assert walked.person("regulator").get("/statements/recount", period=campaign.period)["equal"]
