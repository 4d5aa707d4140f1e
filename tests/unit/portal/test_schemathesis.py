"""Whatever is sent to the platform API by its own document, it answers as the document says, and never with a fault."""

from __future__ import annotations

import itertools

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from shuzha.server.portal_app import make_app
from tests.portal_kit import PASSWORD, PortalCity

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, unsupported_method,
]  # fmt: skip
PEOPLE = ("consumer", "operator", "authority", "provider", "analyst", "registry", "regulator", "admin", "checker1")
_RELAXED = list(HealthCheck)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> PortalCity:
    """A city of its own, for what is sent here changes it: an entry, an authorization and a demand stand in it."""
    town = PortalCity(tmp_path_factory.mktemp("town"))
    entry = town.entry()
    authorization = town.authorize(entry)
    town.made |= {"entry": entry.id, "authorization": authorization.id}
    town.made["demand"] = town.demand(authorization, entry, "贷前核验", upto="submit").id
    return town


@pytest.fixture(scope="module")
def client(town):
    app = make_app(town.platform)
    with TestClient(app, base_url="http://portal.localhost", raise_server_exceptions=False) as found:
        yield found


@pytest.fixture(scope="module")
def tokens(town: PortalCity) -> list[str]:
    return [town.platform.people.sign_in(login, PASSWORD, "api").token for login in PEOPLE]


def run(client, tokens, town: PortalCity, examples: int, mode: GenerationMode, *, share: int, part: int) -> list[str]:
    """Call every `share`-th operation and return what was found, one line an operation."""
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", client.app)
    turns = itertools.count()
    real = {name.partition(".")[0] + "_id": made for name, made in town.made.items()}
    found = []
    for number, result in enumerate(schema.get_all_operations()):
        if number % share != part:
            continue
        operation = result.ok()

        @settings(max_examples=examples, deadline=None, suppress_health_check=_RELAXED, derandomize=True, database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            turn = next(turns)
            token = tokens[turn % len(tokens)]
            for name in case.path_parameters or {}:
                if turn % 2 and name in real:
                    case.path_parameters[name] = real[name]
            headers = {"Authorization": f"Bearer {token}"} if turn % 7 else {}
            response = case.call(session=client, headers=headers)
            case.validate_response(response, checks=CHECKS)

        try:
            ask()
        except Exception as error:
            found.append(f"{operation.label}: {type(error).__name__} {str(error)[:600]}")
    assert next(turns) > len(found)
    return found


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_it_answers_as_its_document_says(client, tokens, town, mode) -> None:
    assert run(client, tokens, town, 2, mode, share=4, part=0) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_it_answers_as_its_document_says_at_length(client, tokens, town, mode, part) -> None:
    assert run(client, tokens, town, 25, mode, share=4, part=part) == []
