"""A backup taken while the platform is used, restored beside it, and used: the same answers, statements and logs."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from journey_kit import Walked, refused, settings_in, short_folder, shuzha, wait_until

from products.consumers.service import DEFAULT_RATE
from shuzha.core.clock import OffsetClock
from shuzha.metering.reports import UsageQuery, UsageReader
from shuzha.server.demo.calls import Verified, Verifier
from shuzha.server.demo.city import Subject, pick_subjects
from shuzha.server.demo.client import Person, Portal
from shuzha.server.demo.journey import Journey
from shuzha.server.running import RunningPlatform


@dataclass(frozen=True)
class Restored:
    """A platform that runs on the restored data, what the commands said, and who called during the backup."""

    running: RunningPlatform
    backup: dict[str, Any]
    logs: dict[str, bool]
    acknowledged: dict[str, Verified]
    clock_apart: float

    def person(self, login: str, password: str) -> Person:
        return Portal(self.running.platform.settings).sign_in(login, password)


@contextlib.contextmanager
def calling(calls: Verifier, subject: Subject) -> Iterator[dict[str, Verified]]:
    """Call all the time while the block lasts, below the rate of the key; the answers are given by idempotency key."""
    answers: dict[str, Verified] = {}
    ended = threading.Event()

    def call() -> None:
        while not ended.is_set():
            name = f"backup-{len(answers)}"
            answers[name] = calls.verify(subject.resident_id, subject.name, idempotency_key=name)
            ended.wait(2 / DEFAULT_RATE)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        wait_until(lambda: len(answers) > 5, 5, "the first calls")
        yield answers
    finally:
        ended.set()
        thread.join(10)


@pytest.fixture(scope="module")
def subject(walked: Walked) -> Subject:
    return pick_subjects(walked.city, each=1).insured[0]


@pytest.fixture(scope="module")
def restored(walked: Walked, subject: Subject) -> Iterator[Restored]:
    """A second platform on its own ports, over what `shuzha backup` and `shuzha restore` made of the first's data."""
    walked.workspace()
    walked.run_inside("open('/home/analyst/notebooks/mine.txt', 'w').write('kept')")
    with short_folder() as folder:
        with calling(walked.verifier(), subject) as acknowledged:
            before = dict(acknowledged)
            saved = shuzha("backup", folder / "copy", "--json", file=walked.settings.folder("run") / "settings.toml")
        assert saved.returncode == 0, saved.stderr
        settings = settings_in(folder / "data")
        again = shuzha("restore", folder / "copy", "--json", settings=settings)
        assert again.returncode == 0, again.stderr
        said = json.loads(saved.stdout)
        clock = settings.clock().now() - walked.platform.clock.now()
        running = RunningPlatform(settings)
        try:
            running.start()
            yield Restored(running, said, json.loads(again.stdout)["logs"], before, clock.total_seconds())
        finally:
            running.stop()
            shutil.rmtree(settings.runtime, ignore_errors=True)


def test_restore_finds_both_logs_sound(restored: Restored) -> None:
    assert restored.logs == {"audit": True, "usage": True}
    assert restored.backup["files"] > 30
    for name in ("usage", "audit"):
        done = shuzha("ledger", "verify", restored.running.platform.settings.folder("logs") / name)
        assert done.returncode == 0, done.stdout


def test_restore_keeps_the_demonstrations_date(restored: Restored) -> None:
    assert abs(restored.clock_apart) < 60


def test_restored_platform_answers_the_same_key_with_the_same_results(restored: Restored, walked: Walked) -> None:
    settings = restored.running.platform.settings
    calls = Verifier(settings, walked.journey.secret, walked.made["product_code"])
    calls.wait_served()
    for one in pick_subjects(walked.city, each=3).all():
        assert calls.verify(one.resident_id, one.name).result == one.expected


def test_restored_platform_knows_every_call_acknowledged_before_the_backup(
    restored: Restored, walked: Walked, subject: Subject
) -> None:
    calls = Verifier(restored.running.platform.settings, walked.journey.secret, walked.made["product_code"])
    for name, answer in restored.acknowledged.items():
        assert calls.verify(subject.resident_id, subject.name, idempotency_key=name) == answer


def test_restored_platform_shows_equal_statements_and_recounts_them(restored: Restored, walked: Walked) -> None:
    regulator = restored.person("regulator", walked.password)
    assert regulator.get("/statements") == walked.person("regulator").get("/statements")
    assert regulator.get("/statements/recount", period=walked.made["period"])["equal"]


def test_restored_platform_opens_the_workspace_with_its_home(restored: Restored, walked: Walked) -> None:
    platform = restored.running.platform
    journey = Journey(platform, walked.city, walked.password)
    journey.made = dict(walked.made)
    other = Walked(walked.folder, restored.running, walked.city, journey, walked.password)
    page = f"/workspaces/{walked.made['workspace']}"
    # Nothing runs there after the restoration, so the record must not go on saying that it is open.
    other.person("analyst").wait(page, lambda one: one["state"] == "stopped", "the record's correction", 20)
    assert other.workspace()["id"] == walked.made["workspace"]
    read = "place = '/home/analyst/notebooks/mine.txt'\nprint(open(place).read())\nprint(open(place, 'a').write('!'))"
    assert other.run_inside(read) == "kept\n1\n"


def test_restored_platform_leaves_the_first_one_alone(restored: Restored, walked: Walked) -> None:
    assert walked.workspace()["state"] == "open"
    assert walked.run_inside("print(open('/home/analyst/notebooks/mine.txt').read())") == "kept\n"


def test_restored_platform_refuses_calls_once_the_authorization_has_expired(
    restored: Restored, walked: Walked, subject: Subject
) -> None:
    """Last: the restored platform's date goes on by more than a year, and does not come back."""
    platform = restored.running.platform
    calls = Verifier(platform.settings, walked.journey.secret, walked.made["product_code"])
    answer = calls.verify(subject.resident_id, subject.name)
    assert answer.result == subject.expected
    used, served = UsageReader(platform.settings.folder("usage")), UsageQuery(product=walked.made["product"])
    used.get_use(answer.usage_id)
    before = used.totals(served).uses
    clock = platform.clock
    assert isinstance(clock, OffsetClock)
    clock.advance(dt.timedelta(days=400))
    refusal = refused(lambda: calls.verify(subject.resident_id, subject.name))
    assert (refusal.status, refusal.code) in {(403, "scope_expired"), (403, "authorization_expired")}
    assert refusal.rule
    assert subject.resident_id not in str(refusal)
    operator = restored.person("operator", walked.password)
    page = f"/authorizations/{walked.made['authorization']}"
    operator.wait(page, lambda one: one["state"] == "expired", "the end of the term", 10)
    wait_until(
        lambda: refused(lambda: calls.verify(subject.resident_id, subject.name)).code == "authorization_expired", 2
    )
    assert used.totals(served).uses == before > 0
    used.close()
