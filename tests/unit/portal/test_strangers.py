"""What a stranger may not see does not exist for him: each answer about a real thing is the answer about none."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from shuzha.core.actor import Actor
from shuzha.core.records import METADATA
from tests.enforcement_kit import routes_of
from tests.portal_kit import PortalCity

STRANGER = Actor("acc_sun", "sun", "org_rival", frozenset({"operator", "analyst", "provider", "consumer"}), "api")
TABLES = {
    "authorization_id": "authorizations", "demand_id": "demands", "grant_id": "grants", "assessment_id": "assessments",
    "release_id": "releases", "workspace_id": "workspaces", "export_id": "exports", "training_id": "trainings",
    "import_id": "imports",
}  # fmt: skip
BODIES = (
    {"reason": "x"}, {}, {"checks": [], "reason": "x"}, {"number": "1", "reason": "x"}, {"points": [], "comment": "x"},
    {"experts": ["acc_1"], "reason": "x"},
)  # fmt: skip
NONE = "zzzzzzzz"


@pytest.fixture
def ids(city: PortalCity) -> dict[str, str]:
    with city.platform.database.read() as work:
        return {
            name: work.connection.execute(sa.select(METADATA.tables[table].c.id).limit(1)).scalar()
            for name, table in TABLES.items()
        }


@pytest.fixture
def ask(app, city: PortalCity, monkeypatch):
    people = {"stranger": STRANGER, "authority": city.people["authority"]}
    monkeypatch.setattr(city.platform.people, "actor_of_session", lambda token, _via: people.get(token))
    monkeypatch.setattr(city.platform.people, "check_csrf", lambda *_: None)
    client = TestClient(app, base_url="http://portal.localhost", follow_redirects=False, raise_server_exceptions=False)

    def ask(who: str, method: str, path: str, body: dict) -> tuple[int, str]:
        client.cookies.set("shuzha_session", who)
        api = path.startswith("/api/")
        sent = {} if method == "GET" else {"json": body} if api else {"data": body}
        answer = client.request(method, path, headers={"Authorization": f"Bearer {who}"} if api else {}, **sent)
        return answer.status_code, answer.text

    return ask


def paths_of(app, ids, prefix):
    for route, _ in routes_of(app):
        methods, path = route.split(" ", 1)
        names = [name for name in re.findall(r"{(\w+)", path) if name in TABLES]
        if not names or path.startswith("/public"):
            continue
        filled = prefix + re.sub(r"{(\w+)(:\w+)?}", lambda found: ids.get(found[1], "close"), path)
        yield methods.split(",")[0], filled, names


def blur(text: str, ids) -> str:
    for each in ids.values():
        text = text.replace(each, "ID").replace(each[:-8] + NONE, "ID")
    return re.sub(r"trc_\w+", "TRACE", text)


@pytest.mark.parametrize(
    ("prefix", "least"), [("/api/v1", 60), pytest.param("", 60, marks=pytest.mark.slow)], ids=["api", "pages"]
)
def test_no_answer_tells_a_stranger_that_a_thing_exists(app, ids, ask, prefix, least) -> None:
    asked, unread, told = 0, [], []
    for method, path, names in paths_of(app, ids, prefix):
        other = path
        for name in names:
            other = other.replace(ids[name], ids[name][:-8] + NONE)
        status, text = ask("stranger", method, path, BODIES[0])
        if status == 405 or '"detail":"Not Found"' in text:
            continue  # Not a path of the portal, or not one of the API.
        for body in BODIES:
            real, none = (ask("stranger", method, each, body) for each in (path, other))
            if 422 not in (real[0], none[0]):
                break
        asked += 1
        if 422 in (real[0], none[0]):
            unread.append(path)
        if (real[0], blur(real[1], ids)) != (none[0], blur(none[1], ids)) or real[0] >= 500:
            told.append((method, blur(path, ids), real[0], none[0], real[1][-300:]))
    assert told == [], "\n".join(str(each)[:150] for each in told)
    assert asked - len(unread) > least, (asked, unread)


def test_the_same_question_tells_the_authority_more(ids, ask) -> None:
    for path in (f"/api/v1/authorizations/{ids['authorization_id']}", f"/authorizations/{ids['authorization_id']}"):
        assert ask("authority", "GET", path, {})[0] == 200
        assert ask("stranger", "GET", path, {})[0] == 404
