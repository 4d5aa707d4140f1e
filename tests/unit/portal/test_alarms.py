"""Alarms as those who answer for a product meet them on pages: told as a task, read, and resolved with a reason."""

from __future__ import annotations

import datetime as dt

import pytest

from products.defence.model import Alarm, AlarmKind
from shuzha.core.actor import platform_actor
from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import post


@pytest.fixture
def alarm(city: PortalCity) -> Alarm:
    key = city.platform.consumers.list_keys(city.people["consumer"])[0]
    made = city.platform.defence.raise_alarm(
        platform_actor("defence"), key.id, key.product, AlarmKind.NEGATIVES,
        dt.date(2026, 11, 23), 5_000,
    )  # fmt: skip
    assert made is not None
    return made


def test_an_alarm_is_a_task_is_read_and_resolved_with_a_reason(sign_in, city: PortalCity, alarm: Alarm) -> None:
    client = sign_in("operator")
    assert f"/alarms/{alarm.id}" in client.get("/tasks").text
    assert f"/alarms/{alarm.id}" in client.get("/alarms").text
    page = client.get(f"/alarms/{alarm.id}").text
    assert "The key is stopped at this product" in page
    assert "5,000" in page
    assert f'action="/alarms/{alarm.id}/resolve"' not in sign_in("consumer").get(f"/alarms/{alarm.id}").text
    assert post(client, f"/alarms/{alarm.id}/resolve").status_code == 422
    assert post(client, f"/alarms/{alarm.id}/resolve", reason="new customers of the bank").status_code == 303
    page = client.get(f"/alarms/{alarm.id}").text
    assert "new customers of the bank" in page
    assert "The key is stopped at this product" not in page
    assert f"/alarms/{alarm.id}" not in client.get("/tasks").text


def test_supervisors_read_alarms_and_strangers_do_not_know_of_them(sign_in, alarm: Alarm) -> None:
    assert alarm.id in sign_in("regulator").get("/alarms").text
    stranger = sign_in("analyst")
    assert alarm.id not in stranger.get("/alarms").text
    assert stranger.get(f"/alarms/{alarm.id}").status_code == 404
