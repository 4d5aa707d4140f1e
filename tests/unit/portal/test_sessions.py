"""Who gets in, and which forms are believed."""

from __future__ import annotations

import pytest

from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import csrf_of, post


def test_a_visitor_is_led_to_the_sign_in_page_and_back(visitor) -> None:
    answer = visitor.get("/tasks", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Ftasks"


def test_sign_in_with_a_wrong_password_says_no_more_than_that(visitor) -> None:
    answers = [
        visitor.post("/sign-in", data={"login": login, "password": "not the password", "next": "/"})
        for login in ("provider", "nobody-of-this-name")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    said = [answer.text.split('<div class="errors"')[1].split("</div>")[0] for answer in answers]
    assert said[0] == said[1]


def test_sign_in_leads_nowhere_else(visitor) -> None:
    data = {"login": "auditor", "password": "Quiet-river-92-stone", "next": "//elsewhere.example/"}
    answer = visitor.post("/sign-in", data=data, follow_redirects=False)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("token", ["", "forged"])
def test_a_form_without_its_sessions_text_is_refused_and_changes_nothing(sign_in, city: PortalCity, token: str) -> None:
    client = sign_in("authority")
    path = f"/entries/{city.made['entry.submitted']}"
    answer = client.post(f"{path}/publish", data={"csrf": token, "reason": "in order"})
    assert answer.status_code == 403
    assert "submitted" in client.get(path).text


def test_a_form_that_another_site_sent_is_refused(sign_in, city: PortalCity) -> None:
    client = sign_in("authority")
    path, token = f"/entries/{city.made['entry.submitted']}/publish", csrf_of(client)
    answer = client.post(path, data={"csrf": token, "reason": "x"}, headers={"Origin": "http://elsewhere.example"})
    assert answer.status_code == 403


def test_the_chosen_language_is_kept(sign_in) -> None:
    client = sign_in("provider", "zh_Hans")
    assert "我的待办" in client.get("/tasks").text
    post(client, "/language", language="en", next="/tasks")
    assert "My tasks" in client.get("/tasks").text


def test_signing_out_ends_the_session(sign_in) -> None:
    client = sign_in("auditor")
    post(client, "/sign-out")
    assert client.get("/tasks").status_code == 303
