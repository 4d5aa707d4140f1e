import dataclasses
import datetime as dt

import pytest

from shuzha.core.errors import Invalid
from shuzha.people.model import (
    LONGEST_WAIT,
    Attempts,
    Session,
    check_account,
    check_login,
    check_organisation,
    check_password,
    normal_login,
)

NOW = dt.datetime(2026, 3, 2, 4, tzinfo=dt.UTC)
GOOD = "correct-horse-7-battery"


@pytest.mark.parametrize(
    "password",
    ["short1!", "a" * 20, "abababababababab", "Password1234", "chenwei-chenwei", "x" * 200, "Shuzha123456"],
)
def test_check_password_refuses_what_is_guessed_first(password):
    with pytest.raises(Invalid) as caught:
        check_password(password, "chenwei", "陈伟")
    assert password not in str(caught.value)


@pytest.mark.parametrize("password", [GOOD, "三山半落青天外二水中分白鹭洲", "nine words of rain on the old bridge"])
def test_check_password_lets_long_ones_pass(password):
    check_password(password, "chenwei", "陈伟")


@pytest.mark.parametrize("login", ["ab", "-chen", "chen wei", "陈伟", "a" * 41, "chen/../x"])
def test_check_login_refuses(login):
    with pytest.raises(Invalid, match="login"):
        check_login(login)


def test_normal_login_is_one_for_all_its_spellings():
    assert normal_login("  ＣｈｅｎWei ") == "chenwei"


@pytest.mark.parametrize("roles", [set(), {"administrator", "provider"}, {"auditor", "regulator"}, {"platform"}, {"x"}])
def test_check_account_refuses_roles(roles):
    with pytest.raises(Invalid):
        check_account("chenwei", "陈伟", frozenset(roles))


def test_check_organisation_asks_for_a_responsible_person():
    with pytest.raises(Invalid, match="responsible person"):
        check_organisation("91370100MA3C", "数据局", " ")


def test_a_session_ends_by_idling_by_its_day_and_by_sign_out():
    session = Session("ses_1", "h", "acc_1", "portal", NOW, NOW)
    assert session.is_open(NOW + dt.timedelta(hours=1, minutes=59))
    assert not session.is_open(NOW + dt.timedelta(hours=2))
    busy = dataclasses.replace(session, seen_at=NOW + dt.timedelta(hours=11, minutes=59))
    assert not busy.is_open(NOW + dt.timedelta(hours=12))
    assert not dataclasses.replace(session, ended_at=NOW).is_open(NOW)


def test_attempts_block_longer_and_longer_but_not_without_end():
    attempts, waits = Attempts("try_1", 0, NOW), []
    for _ in range(20):
        attempts = attempts.counted(NOW)
        waits.append(attempts.wait(NOW))
    assert waits[:4] == [dt.timedelta(0)] * 4
    assert waits[4:7] == [dt.timedelta(seconds=seconds) for seconds in (30, 60, 120)]
    assert waits[-1] == LONGEST_WAIT


def test_attempts_are_forgiven_after_an_hour():
    attempts = Attempts("try_1", 12, NOW, NOW + LONGEST_WAIT)
    assert attempts.counted(NOW + dt.timedelta(hours=1, seconds=1)).count == 1
