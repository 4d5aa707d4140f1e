"""Every page of every person is shown in both languages; others' pages do not exist."""

from __future__ import annotations

import pytest
from fastapi import Request

from shuzha.portal.render import Renderer
from tests.portal_kit import PortalCity
from tests.portal_pages import PUBLIC, pages_of

LOGINS = (
    "provider", "authority", "operator", "analyst", "checker1", "checker2", "registry", "consumer", "regulator",
    "auditor", "admin",
)  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh_Hans"])
@pytest.mark.parametrize("login", LOGINS)
def test_each_person_sees_each_of_their_pages_in_both_languages(
    sign_in, city: PortalCity, login: str, language: str
) -> None:
    client = sign_in(login, language)
    wrong = {}
    for path in pages_of(city)[login]:
        answer = client.get(path)
        if answer.status_code != 200 or f'lang="{"zh-Hans" if language == "zh_Hans" else "en"}"' not in answer.text:
            wrong[path] = answer.status_code
    assert wrong == {}


@pytest.mark.parametrize("path", PUBLIC)
def test_a_visitor_sees_public_pages_without_signing_in(visitor, path: str) -> None:
    assert visitor.get(path).status_code == 200


def test_a_demonstration_says_that_its_clock_was_moved() -> None:
    renderer = Renderer((), sandbox_url="http://127.0.0.1", demo=True, days_ahead=lambda: 41)
    renderer.add_helpers(who=str, word=str, tone=str)
    request = Request(
        {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-language", b"en")], "query_string": b""}
    )
    said = renderer.page(request, "problem.html", title="", message="").body.decode()
    assert "moved 41 days ahead" in said


def test_a_finding_says_in_the_readers_language_what_its_rule_asks(sign_in, city: PortalCity) -> None:
    page = sign_in("analyst", "zh_Hans").get(f"/exports/{city.made['export.returned']}").text
    assert "min_count" in page
    assert "被规则拦下" in page
    assert "blocked by" not in page
    assert "每个单元至少由这么多个不同主体（非空值）构成" in page


def test_a_released_request_shows_the_key_that_its_record_is_checked_with(sign_in, city: PortalCity) -> None:
    made = city.made["export"]
    signed = city.platform.airlock.read_record(city.people["operator"], made)
    assert signed.public_key.hex() in sign_in("operator").get(f"/exports/{made}").text
