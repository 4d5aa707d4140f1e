"""Values at the edges of what there is: each is refused by a rule or is only a value, and none stops the platform."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from policies.odrl import write_odrl
from policies.scopes import seal_scope
from shuzha.authorization import policy_routes, routes
from shuzha.authorization.explaining import PolicyVerbs
from shuzha.server import problems
from tests.authorization_kit import City

HALF, NULL = "\ud800", "a\0b"


class Asked:
    """A city behind its real routes; `grant` is in force."""

    def __init__(self, city: City) -> None:
        self.city, self.entry = city, city.add_entry()
        self.authorization = city.authorize(self.entry)
        self.grant = city.grant(self.authorization, self.entry)
        self.verbs = PolicyVerbs(city.database, city.policies, city.law, city.keys)
        app = FastAPI()
        problems.install(app)
        app.include_router(routes.make_router(city.service, self._who))
        app.include_router(policy_routes.make_router(self.verbs, self._who))
        self.client = TestClient(app, raise_server_exceptions=False)

    def _who(self, request: Request):
        return getattr(self.city, request.headers["who"])

    def post(self, who: str, path: str, body: object):
        headers = {"who": who, "content-type": "application/json"}
        return self.client.post(path, headers=headers, content=json.dumps(body))

    def all_of(self, **changes: object):
        """Ask everything that takes such a part, and return the answers."""
        city = self.city
        forms = {
            "/demands": ("operator", city.draft(self.authorization, self.entry)),
            "/authorizations": ("operator", city.application(self.entry)),
            "/announcements": ("authority", city.announcement()),
        }
        found = {}
        for path, (who, form) in forms.items():
            body = msgspec.to_builtins(form)
            found[path] = self.post(who, path, body | {name: it for name, it in changes.items() if name in body})
        return found


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return Asked(City(tmp_path_factory.mktemp("city")))


@pytest.mark.parametrize("text", [HALF, NULL])
def test_text_that_no_database_keeps_is_refused_everywhere_alike(asked: Asked, text: str) -> None:
    for answer in asked.all_of(title=text, scenario=text).values():
        assert answer.status_code == (201 if answer.request.url.path == "/demands" and text == NULL else 422)
        assert HALF not in answer.text
    path = f"/authorizations/{asked.authorization.id}/suspend"
    assert asked.post("authority", path, {"reason": text}).json()["rule"] == "records.text"
    assert asked.client.get("/grants/a%00b", headers={"who": "operator"}).status_code == 404
    assert asked.client.get("/grants?authorization=a%00b", headers={"who": "operator"}).json() == []
    assert asked.post("authority", path, {"reason": "x" * 4_001}).status_code == 422
    assert asked.post("authority", path, {"reason": "嗨 \n“*, (p.sub"}).status_code == 200
    asked.city.service.restore(asked.city.authority, asked.authorization.id, "only a value")


@pytest.mark.parametrize(
    ("first", "last", "year"),
    [("9999-01-01", "9999-12-31", 9999), ("0001-01-01", "0001-01-01", 1), ("2026-03-02", "9999-12-31", 2026)],
)
def test_days_that_cannot_be_counted_with_are_refused(asked: Asked, first: str, last: str, year: int) -> None:
    term = {"valid_from": first, "valid_until": last}
    agreement = msgspec.to_builtins(asked.city.agreement(asked.entry)) | {"term": term}
    answers = asked.all_of(term=term, agreement=agreement, opens=first, closes=last, year=year)
    answers["what if"] = asked.post("operator", f"/authorizations/{asked.authorization.id}/what-if", {"term": term})
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(answers, 422)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_moment_that_cannot_be_counted_with_is_refused(asked: Asked, at: str) -> None:
    question = {"permission": "data:open", "grant": asked.grant.id}
    assert asked.post("operator", "/policies/explain", question | {"at": at}).status_code == 422
    assert asked.post("operator", "/policies/explain", question).status_code == 200


def test_odrl_that_is_no_odrl_is_refused_and_not_a_fault(asked: Asked) -> None:
    document = asked.verbs.export_odrl(asked.city.provider, asked.grant.id)
    assert asked.post("operator", "/policies/odrl", document).json()["identical"]
    early = json.loads(json.dumps(document).replace("2026-03-01T16:00:00+00:00", "0001-01-01T00:00:00+14:00"))
    assert early != document
    bad = [early, *({**document, "@context": each} for each in (5, None, "x"))]
    bad += [{**document, name: HALF} for name in ("shuzha:clause", "uid")]
    bad += [{**document, "shuzha:columns": [HALF]}, {**document, "assignee": f"urn:shuzha:organisation:{HALF}"}]
    answers = [asked.post("operator", "/policies/odrl", each).status_code for each in bad]
    assert answers == [422] * len(bad)


def test_a_document_with_more_lines_than_a_grant_can_have_is_not_compared(asked: Asked) -> None:
    # Its hash is right, so only the bound keeps it from being asked forty thousand questions a line.
    scope = asked.grant.scope
    lines = tuple(replace(scope.lines[0], columns=frozenset({f"c{number}"})) for number in range(17))
    for count, status in ((17, 422), (16, 200)):
        found = seal_scope(replace(scope, lines=lines[:count], columns=frozenset({"c0"})))
        assert asked.post("operator", "/policies/odrl", write_odrl(found, "org_provider")).status_code == status
