"""The OpenID provider against independent clients (authlib's, the hub's own authenticator) and against attackers."""

import asyncio
import base64
import datetime as dt
import json
import secrets
import socket
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import uvicorn
from authlib.integrations.httpx_client import AsyncOAuth2Client
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import KeySet

from shuzha.core.errors import Invalid
from shuzha.core.keys import KeyRing
from shuzha.people.oidc import Provider, challenge_of, make_client
from shuzha.people.oidc_routes import oidc_router
from shuzha.people.web import SESSION_COOKIE

ISSUER = "http://portal.localhost:8000"
CALLBACK = "http://sandbox.localhost:8002/hub/oauth_callback"
SECRET = "hub-secret-0123456789abcdef-0123456789"
OTHER_SECRET = "other-secret-0123456789abcdef-0123456"
VERIFIER = "v" * 20 + "._~-" + "9" * 40


@pytest.fixture
def keys(tmp_path):
    return KeyRing.create(tmp_path / "keys")


@pytest.fixture
def provider(database, people, city, keys):
    clients = [
        make_client("jupyterhub", SECRET, [CALLBACK], roles=["analyst"]),
        make_client("other", OTHER_SECRET, ["https://other.example/back"]),
    ]
    return Provider(
        database,
        people,
        issuer=ISSUER,
        clients=clients,
        key=keys.es256_key("oidc"),
    )


@pytest.fixture
def portal(app, people, provider, city):
    app.include_router(oidc_router(people, provider))
    return TestClient(app, base_url=ISSUER, follow_redirects=False)


@pytest.fixture
def signed_in(portal, people, city):
    token = people.sign_in("chenwei", city.password).token
    portal.cookies.set(SESSION_COOKIE, token)
    return token


def ask(**changes):
    query = {
        "client_id": "jupyterhub", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid profile",
        "state": "st-1", "code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256", "nonce": "n-1",
    } | changes  # fmt: skip
    return {name: value for name, value in query.items() if value is not None}


def get_code(portal, **changes):
    answer = portal.get("/oidc/authorize", params=ask(**changes))
    assert answer.status_code == 303, answer.text
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def exchange(portal, code, *, auth=("jupyterhub", SECRET), **changes):
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    } | changes
    form = {name: value for name, value in form.items() if value is not None}
    return portal.post("/oidc/token", data=form, auth=auth)


def userinfo(portal, token):
    return portal.get("/oidc/userinfo", headers={"Authorization": f"Bearer {token}"})


def test_the_whole_flow_says_who_signed_in(portal, provider, city, signed_in, tags):
    answer = exchange(portal, get_code(portal))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = answer.json()
    assert userinfo(portal, tokens["access_token"]).json() == {
        "sub": city.analyst.id, "preferred_username": city.analyst.handle, "name": "陈伟",
        "organisation": city.unit.id, "roles": ["analyst"],
    }  # fmt: skip
    keys = KeySet.import_key_set(portal.get("/oidc/jwks").json())
    claims = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"], claims["sub"]) == (
        ISSUER,
        "jupyterhub",
        "n-1",
        city.analyst.id,
    )
    assert tags()[-1] == "session:share"


def test_discovery_names_what_is_mounted(portal):
    document = portal.get("/.well-known/openid-configuration").json()
    assert document["issuer"] == ISSUER
    assert document["code_challenge_methods_supported"] == ["S256"]
    for name in ("authorization_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert portal.get(document[name].removeprefix(ISSUER)).status_code != 404, name
    assert "d" not in portal.get("/oidc/jwks").json()["keys"][0], "the private half stays home"


def test_without_a_session_the_browser_is_sent_to_sign_in_and_back(portal):
    answer = portal.get("/oidc/authorize", params=ask())
    place = urlsplit(answer.headers["Location"])
    assert (answer.status_code, place.netloc, place.path) == (303, "", "/sign-in")
    back = parse_qs(place.query)["next"][0]
    assert back.startswith("/oidc/authorize?client_id=jupyterhub&")
    assert parse_qs(urlsplit(back).query)["code_challenge"] == [challenge_of(VERIFIER)]


def test_prompt_none_without_a_session_is_answered_to_the_client(portal):
    place = urlsplit(portal.get("/oidc/authorize", params=ask(prompt="none")).headers["Location"])
    assert parse_qs(place.query)["error"] == ["login_required"]


def test_the_client_may_send_its_secret_in_the_form(portal, signed_in):
    answer = exchange(portal, get_code(portal), auth=None, client_id="jupyterhub", client_secret=SECRET)
    assert answer.status_code == 200


# -- attacks -----------------------------------------------------------------------------------------------------------


def test_a_code_that_comes_a_second_time_is_refused_and_ends_its_tokens(portal, signed_in, tags):
    code = get_code(portal)
    token = exchange(portal, code).json()["access_token"]
    assert userinfo(portal, token).status_code == 200
    again = exchange(portal, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert userinfo(portal, token).status_code == 401
    assert tags()[-1] == "session:replay"


def test_one_code_raced_by_eight_gives_one_token(portal, provider, signed_in):
    code, answers = get_code(portal), []
    threads = [threading.Thread(target=lambda: answers.append(exchange(portal, code).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [200] + [400] * 7


@pytest.mark.parametrize("verifier", [None, "", "w" * 64, "v" * 10, challenge_of(VERIFIER)])
def test_a_wrong_verifier_is_refused_and_spends_the_code(portal, signed_in, verifier):
    code = get_code(portal)
    assert exchange(portal, code, code_verifier=verifier).json()["error"] == "invalid_grant"
    assert exchange(portal, code).json()["error"] == "invalid_grant"


def test_a_code_is_no_good_for_another_client_or_address(portal, signed_in):
    assert exchange(portal, get_code(portal), auth=("other", OTHER_SECRET)).json()["error"] == "invalid_grant"
    assert exchange(portal, get_code(portal), redirect_uri=CALLBACK + "/").json()["error"] == "invalid_grant"
    assert exchange(portal, get_code(portal), redirect_uri=None).json()["error"] == "invalid_grant"


def test_a_code_is_over_after_a_minute(portal, signed_in, keyboard):
    code = get_code(portal)
    keyboard.advance(dt.timedelta(seconds=60))
    assert exchange(portal, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "auth",
    [None, ("jupyterhub", "wrong"), ("jupyterhub", ""), ("nobody", SECRET), ("nobody", ""), ("other", SECRET)],
)
def test_a_wrong_client_secret_is_refused_and_does_not_spend_the_code(portal, signed_in, auth):
    code = get_code(portal)
    answer = exchange(portal, code, auth=auth)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert exchange(portal, code).status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/hub/oauth_callback", CALLBACK + "/", CALLBACK + "?x=1", CALLBACK.upper(),
        "http://sandbox.localhost:8002@evil.example/hub/oauth_callback", "javascript:alert(1)", "", None,
        CALLBACK + "#", " " + CALLBACK,
    ],
)  # fmt: skip
def test_nobody_is_sent_to_an_address_that_is_not_the_clients(portal, signed_in, address):
    answer = portal.get("/oidc/authorize", params=ask(redirect_uri=address))
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert "evil" not in answer.text


def test_a_parameter_given_twice_is_refused(portal, signed_in):
    twice = [*ask().items(), ("redirect_uri", "https://evil.example")]
    answer = portal.get("/oidc/authorize", params=twice)
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain", "code_challenge": VERIFIER}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
    ],
)
def test_authorize_tells_the_client_what_is_wrong(portal, signed_in, changes, error):
    place = urlsplit(portal.get("/oidc/authorize", params=ask(**changes)).headers["Location"])
    answer = parse_qs(place.query)
    assert f"{place.scheme}://{place.netloc}{place.path}" == CALLBACK
    assert (answer["error"], answer["state"], answer["iss"]) == ([error], ["st-1"], [ISSUER])


def test_an_account_without_the_clients_role_is_denied(portal, people, city):
    portal.cookies.set(SESSION_COOKIE, people.sign_in("root", city.password).token)
    place = urlsplit(portal.get("/oidc/authorize", params=ask()).headers["Location"])
    assert parse_qs(place.query)["error"] == ["access_denied"]


def test_tokens_end_with_the_session_the_account_and_the_role(portal, people, city, signed_in):
    first = exchange(portal, get_code(portal)).json()["access_token"]
    people.sign_out(signed_in)
    assert userinfo(portal, first).status_code == 401
    portal.cookies.set(SESSION_COOKIE, people.sign_in("chenwei", city.password).token)
    second = exchange(portal, get_code(portal)).json()["access_token"]
    late = get_code(portal)
    people.suspend_account(city.admin, city.analyst.id, "left")
    assert userinfo(portal, second).status_code == 401
    assert exchange(portal, late).json()["error"] == "invalid_grant"


def test_userinfo_refuses_what_is_no_access_token(portal, signed_in):
    code = get_code(portal)
    id_token = exchange(portal, code).json()["id_token"]
    for token in ("", "x", signed_in, code, id_token):
        answer = userinfo(portal, token)
        assert answer.status_code == 401
        assert "Bearer" in answer.headers["WWW-Authenticate"]


def test_an_access_token_is_no_session(portal, signed_in):
    token = exchange(portal, get_code(portal)).json()["access_token"]
    portal.cookies.clear()
    assert portal.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_neither_code_nor_token_is_kept_in_the_clear(portal, database, signed_in):
    code = get_code(portal)
    token = exchange(portal, code).json()["access_token"]
    records = Path(database.url.removeprefix("sqlite:///"))
    raw = b"".join(path.read_bytes() for path in records.parent.glob("records.db*"))
    assert b"session:share" in raw
    for secret in (code, token, signed_in):
        assert secret.encode() not in raw


def test_the_token_endpoint_refuses_what_is_no_form(portal, signed_in):
    big = portal.post("/oidc/token", data={"code": "x" * 20_000}, auth=("jupyterhub", SECRET))
    assert (big.status_code, big.json()["error"]) == (413, "invalid_request")
    many = portal.post("/oidc/token", data={f"f{n}": "1" for n in range(50)}, auth=("jupyterhub", SECRET))
    assert many.json()["error"] == "invalid_request"
    assert portal.post("/oidc/token", json={"code": "x"}, auth=("jupyterhub", SECRET)).status_code == 400
    garbled = portal.post("/oidc/token", data={"code": "x"}, headers={"Authorization": "Basic %%%"})
    assert garbled.status_code == 401


@pytest.mark.parametrize(
    ("secret", "addresses"),
    [("short", [CALLBACK]), (SECRET, []), (SECRET, ["javascript:alert(1)"]), (SECRET, ["https://*.example/x"])],
)
def test_make_client_refuses_a_weak_client(secret, addresses):
    with pytest.raises(Invalid):
        make_client("jupyterhub", secret, addresses)


# -- independent clients -----------------------------------------------------------------------------------------------


async def test_authlibs_client_signs_in(app, people, provider, city):
    app.include_router(oidc_router(people, provider))
    transport = httpx.ASGITransport(app)
    session = people.sign_in("chenwei", city.password).token
    async with AsyncOAuth2Client(
        "jupyterhub", SECRET, scope="openid profile", redirect_uri=CALLBACK, code_challenge_method="S256",
        transport=transport,
    ) as client:  # fmt: skip
        verifier = secrets.token_urlsafe(48)
        url, state = client.create_authorization_url(f"{ISSUER}/oidc/authorize", code_verifier=verifier)
        async with httpx.AsyncClient(transport=transport, cookies={SESSION_COOKIE: session}) as browser:
            place = (await browser.get(url)).headers["Location"]
        await client.fetch_token(
            f"{ISSUER}/oidc/token", authorization_response=place, state=state, code_verifier=verifier
        )
        who = (await client.get(f"{ISSUER}/oidc/userinfo")).json()
    assert who["preferred_username"] == city.analyst.handle


@pytest.fixture
def address(app, people, provider):
    """The portal on a real loopback socket."""
    app.include_router(oidc_router(people, provider))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


async def test_the_hubs_own_authenticator_signs_in(address, people, city):
    from oauthenticator.generic import GenericOAuthenticator

    class CallbackHandler:
        """What the hub's callback handler gives its authenticator: the code, and the verifier in its cookie."""

        def __init__(self, code):
            self.code = code

        def get_argument(self, name, default=None):
            return {"code": self.code}.get(name, default)

        def get_state_cookie(self):
            return base64.urlsafe_b64encode(json.dumps({"code_verifier": VERIFIER}).encode()).decode()

    session = people.sign_in("chenwei", city.password).token
    async with httpx.AsyncClient(cookies={SESSION_COOKIE: session}) as browser:
        place = (await browser.get(f"{address}/oidc/authorize", params=ask())).headers["Location"]
    code = parse_qs(urlsplit(place).query)["code"][0]
    authenticator = GenericOAuthenticator(
        client_id="jupyterhub", client_secret=SECRET, oauth_callback_url=CALLBACK, token_url=f"{address}/oidc/token",
        userdata_url=f"{address}/oidc/userinfo", username_claim="preferred_username", scope=["openid", "profile"],
        allow_all=True,
    )  # fmt: skip
    found = await asyncio.wait_for(authenticator.authenticate(CallbackHandler(code)), 20)
    assert found["name"] == city.analyst.handle
    assert found["auth_state"]["oauth_user"]["roles"] == ["analyst"]
