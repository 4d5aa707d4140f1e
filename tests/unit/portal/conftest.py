"""One walked city for all tests of the portal, and people signed in to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from shuzha.server.portal_app import make_app
from tests.portal_kit import PASSWORD, PortalCity

SignIn = Callable[..., TestClient]


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> PortalCity:
    return PortalCity(tmp_path_factory.mktemp("city")).walk()


@pytest.fixture(scope="session")
def app(city: PortalCity) -> object:
    return make_app(city.platform)


@pytest.fixture
def visitor(app: object) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://portal.localhost", headers={"Accept": "text/html"}) as client:  # type: ignore[arg-type]
        yield client


@pytest.fixture
def sign_in(app: object) -> Iterator[SignIn]:
    """Sign in by login; the client does not follow redirects by itself."""
    opened: list[TestClient] = []

    def sign_in(login: str, language: str = "en") -> TestClient:
        client = TestClient(  # type: ignore[arg-type]
            app, base_url="http://portal.localhost", headers={"Accept": "text/html"}, follow_redirects=False
        )
        client.cookies.set("shuzha_language", language)
        answer = client.post("/sign-in", data={"login": login, "password": PASSWORD, "next": "/"})
        assert answer.status_code == 303, answer.text
        opened.append(client)
        return client

    yield sign_in
    for client in opened:
        client.close()


def csrf_of(client: TestClient, path: str = "/tasks") -> str:
    """Return the text that the forms of this session carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found is not None
    return found[1]


def post(client: TestClient, path: str, **fields: object):  # type: ignore[no-untyped-def]
    """Send a form with the session's text."""
    return client.post(path, data={"csrf": csrf_of(client), **fields})


ROOT = Path(__file__).parents[3]
