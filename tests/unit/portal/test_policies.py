"""The page that says why: the answer, its clause, what would have to change; and who may ask about whom."""

from __future__ import annotations

import re

import pytest

from policies.scopecheck import REQUIRED
from shuzha.portal.i18n import Speech
from shuzha.portal.policy_words import ACTS, REASONS, Words
from tests.portal_kit import PortalCity
from tests.unit.portal.conftest import post


@pytest.fixture
def asked(city: PortalCity) -> dict[str, str]:
    """Return a question that the demo's grant allows its analyst."""
    return {
        "grant": city.made["grant"], "about": city.people["analyst"].id, "permission": "data:open",
        "operation": "aggregate", "purpose": "loan-review", "place": "workspace", "columns": "base, paid",
    }  # fmt: skip


def told(page: str) -> str:
    """Return a page's text without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("<main")[2].partition("</main>")[0]))


def test_a_yes_says_the_line_the_clause_and_the_article(sign_in, asked) -> None:
    page = told(sign_in("authority").get("/policies", params=asked).text)
    assert "Answer allowed" in page
    assert "It lies within the grant." in page
    assert f"scope {asked['grant']}@" in page
    assert "clause 1.3" in page
    assert "J23 art." in page
    assert "What would have to change" not in page


@pytest.mark.parametrize(
    ("change", "reason", "needed"),
    [
        (
            {"operation": "train"}, "Operation: what is asked lies outside the grant",
            "the agreement holds it: Operation train",
        ),
        (
            {"purpose": "advertising"}, "Purpose: what is asked lies outside",
            "The agreement would have to hold it first (clause 1.2, ",
        ),
        ({"columns": "base, name"}, "Columns: what is asked lies outside", "would have to be granted: Columns name"),
        ({"place": ""}, "The question does not say: Place.", "Say it in the question: Place."),
        ({"at": "2035-01-01T08:00"}, "The term of the grant is over.", "would have to be renewed"),
        ({"at": "2020-01-01T08:00"}, "The term of the grant has not begun.", "it may be done from 20"),
        (
            {"permission": "data:serve", "output_kind": "report", "place": "api"},
            "Nobody with these roles may do this", "consumer",
        ),
    ],
)  # fmt: skip
def test_a_no_says_why_and_what_would_have_to_change(sign_in, asked, change, reason, needed) -> None:
    page = told(sign_in("operator").get("/policies", params=asked | change).text)
    assert "Answer refused" in page
    assert reason in page
    assert needed in page.partition("What would have to change")[2]


def test_the_reader_is_told_in_his_language(sign_in, asked) -> None:
    page = told(sign_in("regulator", "zh_Hans").get("/policies", params=asked | {"operation": "train"}).text)
    assert "处理方式：所问超出授权，授权仅有：" in page
    assert "协议已含该内容" in page
    assert "第 1.3 条" in page
    assert "lies outside" not in page


def test_an_organisation_is_asked_about_through_its_nearest_person(sign_in, asked, city: PortalCity) -> None:
    analyst, consumer = city.people["analyst"], city.people["consumer"]
    page = told(sign_in("authority").get("/policies", params=asked | {"about": f"org:{analyst.organisation}"}).text)
    assert "Answer allowed" in page
    assert analyst.name in page
    other = asked | {"about": f"org:{consumer.organisation}"}
    assert "Answer refused" in told(sign_in("authority").get("/policies", params=other).text)
    serving = other | {"permission": "data:serve", "output_kind": "verification", "place": "api"}
    assert "Answer allowed" in told(sign_in("authority").get("/policies", params=serving).text)


def test_a_suspended_grant_says_what_must_be_lifted(sign_in, asked, city: PortalCity) -> None:
    service, authority = city.platform.authorization, city.people["authority"]
    service.suspend(authority, city.made["authorization"], "audit finding 7")
    try:
        page = told(sign_in("provider").get("/policies", params=asked | {"about": ""}).text)
        seen = told(sign_in("authority").get("/policies", params=asked).text)
    finally:
        service.restore(authority, city.made["authorization"], "mended")
    assert "Answer refused" in page
    assert "The grant is not in force." in seen
    assert "audit finding 7" in seen.partition("What would have to change")[2]


@pytest.mark.parametrize(
    ("login", "about", "status"),
    [
        ("authority", "consumer", 200), ("regulator", "provider", 200), ("operator", "analyst", 200),
        ("operator", "consumer", 404), ("operator", "provider", 404), ("provider", "provider", 200),
        ("provider", "operator", 404), ("provider", "authority", 404), ("analyst", "analyst", 200),
        ("analyst", "operator", 404), ("consumer", "consumer", 404),
    ],
)  # fmt: skip
def test_one_asks_about_oneself_ones_people_or_by_duty_anybody(sign_in, asked, city, login, about, status) -> None:
    people = city.people
    client = sign_in(login)
    assert client.get("/policies", params=asked | {"about": people[about].id}).status_code == status
    if login != about:
        whole = asked | {"about": f"org:{people[about].organisation}"}
        assert client.get("/policies", params=whole).status_code == status


@pytest.mark.parametrize("login", ["auditor", "admin"])
def test_whose_duty_it_is_not_is_refused(sign_in, login: str) -> None:
    assert sign_in(login).get("/policies").status_code == 403


def test_the_form_names_only_grants_and_people_that_the_reader_may_ask_about(sign_in, city: PortalCity) -> None:
    page = sign_in("operator").get("/policies").text
    assert city.people["analyst"].id in page
    assert city.people["consumer"].id not in page
    assert "nothing to ask about" in sign_in("consumer").get("/policies").text
    assert sign_in("operator").get("/policies?grant=grt_none").status_code == 404


def test_a_moment_that_is_none_is_refused_on_the_page(sign_in, asked) -> None:
    answer = sign_in("operator").get("/policies", params=asked | {"at": "tomorrow"})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_a_clause_taken_away_shows_the_decisions_that_would_flip(sign_in, city: PortalCity) -> None:
    client, one = sign_in("authority"), city.made["authorization"]
    agreement = city.platform.authorization.get_authorization(city.people["authority"], one).agreement
    same = {
        "entries": agreement.entries, "purposes": "\n".join(agreement.purposes), "operations": agreement.operations,
        "output_kinds": agreement.output_kinds, "valid_until": agreement.term.valid_until.isoformat(),
    }  # fmt: skip
    path = f"/authorizations/{one}/what-if"
    assert "The clauses as they would be" in client.get(path).text
    nothing = told(client.get(path, params=same).text)
    assert "None: the agreement says this already." in nothing
    assert " 0 of " in nothing
    fewer = told(client.get(path, params=same | {"operations": ["view", "verify", "join"]}).text)
    assert "Decisions that would flip" in fewer
    assert "Operation: what is asked lies outside the grant, which has: join, verify, view." in fewer
    gone = told(client.get(path, params=same | {"entries": []}).text)
    assert "Nothing of the grant would be left." in gone
    after = city.platform.authorization.get_authorization(city.people["authority"], one).agreement
    assert after == agreement
    assert sign_in("consumer").get(path).status_code == 404


def test_pages_of_grants_lead_to_the_question_and_the_what_if(sign_in, city: PortalCity) -> None:
    for path in (f"/demands/{city.made['demand']}", f"/authorizations/{city.made['authorization']}"):
        page = sign_in("operator").get(path).text
        for link in re.findall(r'href="(/policies\?grant=[^"]+|/authorizations/[^"]+/what-if)"', page):
            assert sign_in("operator").get(link).status_code == 200
        assert "/policies?grant=grt_" in page
        assert "/what-if" in page


def test_a_refusal_by_a_grant_leads_to_the_question(sign_in, city: PortalCity) -> None:
    service, authority, grant = city.platform.authorization, city.people["authority"], city.made["grant"]
    service.suspend(authority, city.made["authorization"], "audit <b>finding</b> 8")
    city.platform.policies.forget(grant)  # The outbox tells a running portal.
    try:
        answer = post(sign_in("operator"), f"/demands/{city.made['demand']}/release")
    finally:
        service.restore(authority, city.made["authorization"], "mended")
        city.platform.policies.forget(grant)
    assert answer.status_code == 403
    alert = answer.text.partition('role="alert"')[2].partition("</div>")[0]
    assert f'<a href="/policies?grant={grant}">Why may, or may not</a>' in alert
    assert "<b>finding" not in alert
    assert "data:release" in alert
    other = post(sign_in("provider"), f"/entries/{city.made['entry.returned']}/publish", reason="I say so")
    assert "/policies?" not in other.text


def test_every_reason_of_the_policy_layer_has_its_words() -> None:
    from pathlib import Path

    import policies

    assert set(ACTS) == set(REQUIRED)
    words = Words(Speech("en"), {})
    sources = "".join(file.read_text("utf-8") for file in Path(policies.__file__).parent.glob("*.py"))
    codes = set(re.findall(r'"((?:scope|role|roles|relation|permission)\.[a-z_]+(?:\.missing)?)"', sources)) - {
        "roles.conf", "roles.csv", "roles.file", "scope.conf", "scope.narrowed", "scope.part", "scope.quota",
        "scope.term", "roles.known", "role.title",
    }  # fmt: skip
    assert len(codes) > 8
    for code in codes:
        said = words.said(code, ["x"])
        assert said in REASONS.values() or "does not say" in said, (code, said)
