"""People over HTTP, through the real app and its problem map."""

import pytest

from shuzha.people.web import SESSION_COOKIE, safe_next


def sign_in(client, login, password):
    answer = client.post("/api/v1/session", json={"login": login, "password": password})
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_sign_in_me_and_sign_out(client, city):
    token = sign_in(client, "chenwei", city.password)
    me = client.get("/api/v1/me", headers=bearer(token)).json()
    assert me["account"] == {
        "id": city.analyst.id, "login": "chenwei", "handle": city.analyst.handle, "name": "陈伟",
        "organisation": city.unit.id, "roles": ["analyst"], "state": "active",
    }  # fmt: skip
    assert me["organisation"]["name_en"] == "Spring City Data"
    assert client.delete("/api/v1/session", headers=bearer(token)).status_code == 204
    assert client.get("/api/v1/me", headers=bearer(token)).status_code == 401


def test_a_wrong_password_is_a_problem_that_echoes_nothing(client):
    answer = client.post("/api/v1/session", json={"login": "chenwei", "password": "my-secret-guess"})
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_signed_in"
    assert "my-secret-guess" not in answer.text
    assert "chenwei" not in answer.text


def test_without_a_session_everything_answers_401(client):
    for method, path in [("GET", "/me"), ("GET", "/accounts"), ("POST", "/accounts"), ("DELETE", "/session")]:
        assert client.request(method, f"/api/v1{path}").status_code == 401, path


def test_an_administrator_keeps_accounts_over_http(client, city):
    admin = bearer(sign_in(client, "root", city.password))
    form = {"login": "wangfang", "password": city.password, "name": "王芳", "organisation": city.unit.id}
    created = client.post("/api/v1/accounts", json=form | {"roles": ["checker"]}, headers=admin)
    assert created.status_code == 201
    assert "password" not in created.text
    path = f"/api/v1/accounts/{created.json()['id']}"
    assert client.post(f"{path}/suspend", json={"reason": "left"}, headers=admin).json()["state"] == "suspended"
    assert client.post(f"{path}/suspend", json={"reason": "left"}, headers=admin).status_code == 409
    assert client.post(f"{path}/restore", json={"reason": " "}, headers=admin).status_code == 422
    assert client.post(f"{path}/restore", json={"reason": "back"}, headers=admin).json()["state"] == "active"
    changed = client.put(f"{path}/roles", json={"roles": ["checker", "auditor"], "reason": "x"}, headers=admin)
    assert changed.status_code == 422
    assert "Z20 art. 33" in changed.json()["rule"]
    assert len(client.get("/api/v1/accounts", headers=admin).json()) == 3
    assert len(client.get("/api/v1/organisations", headers=admin).json()) == 2


def test_an_analyst_keeps_no_accounts(client, city):
    analyst = bearer(sign_in(client, "chenwei", city.password))
    assert client.get("/api/v1/accounts", headers=analyst).status_code == 403
    assert (
        client.post(f"/api/v1/accounts/{city.root.id}/suspend", json={"reason": "x"}, headers=analyst).status_code
        == 403
    )


def test_a_change_by_cookie_needs_the_sessions_text(client, people, city):
    token = sign_in(client, "root", city.password)
    client.cookies.set(SESSION_COOKIE, token)
    form = {"code": "ORG-2", "name": "数据局", "kind": "authority", "responsible_person": "周"}
    assert client.get("/api/v1/organisations").status_code == 200
    forged = client.post("/api/v1/organisations", json=form)
    assert (forged.status_code, forged.json()["rule"]) == (403, "session.csrf")
    csrf = {"X-CSRF-Token": people.csrf_token(token)}
    for site in ({"Origin": "http://sandbox.localhost:8002"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
        assert client.post("/api/v1/organisations", json=form, headers=csrf | site).status_code == 403, site
    own = {"Origin": "http://portal.localhost:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/v1/organisations", json=form, headers=csrf | own).status_code == 201


@pytest.mark.parametrize(
    "hostile",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "/a\nb",
        "/\tb", "http:evil", "", None, " /x", "/x\x00",
    ],
)  # fmt: skip
def test_safe_next_never_leaves_the_host(hostile):
    assert safe_next(hostile) == "/"


def test_safe_next_keeps_a_way_back():
    assert safe_next("/oidc/authorize?client_id=a&state=b%20c") == "/oidc/authorize?client_id=a&state=b%20c"
