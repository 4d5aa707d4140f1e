"""Whatever is sent to the consumer API by its own document, it answers as the document says, and never with a fault."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import schemathesis
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

from products.serving.contract import make_documented_app

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, unsupported_method,
]  # fmt: skip
_RELAXED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
SCHEMA = schemathesis.openapi.from_dict(make_documented_app(None, None, None, None).openapi())
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}


@pytest.fixture(scope="module")
def secret(platform) -> str:
    return platform.key(rate=10_000, daily_quota=100_000_000).secret


def run(platform, secret: str, name: str, mode: GenerationMode, examples: int) -> int:
    """Make calls of one operation, three in four with a key and half for a product that is there; return how many."""
    turns: Iterator[int] = itertools.count()

    @settings(max_examples=examples, deadline=None, suppress_health_check=_RELAXED, derandomize=True, database=None)
    @given(case=OPERATIONS[name].as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        turn = next(turns)
        headers = {"Authorization": f"Bearer {secret}"} if turn % 4 else {}
        if turn % 2 and "code" in (case.path_parameters or {}) and "products" in case.path:
            case.path_parameters["code"] = platform.product.code
        response = case.call(base_url=platform.url, headers=headers, timeout=10)
        case.validate_response(response, checks=CHECKS)

    ask()
    return next(turns)


def test_the_document_is_found_whole(platform) -> None:
    assert platform.get("/openapi.json").json()["paths"].keys() == SCHEMA.raw_schema["paths"].keys()


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_it_answers_as_its_document_says(platform, secret, name, mode) -> None:
    assert run(platform, secret, name, mode, 8) > 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_it_answers_as_its_document_says_at_length(platform, secret, name, mode) -> None:
    assert run(platform, secret, name, mode, 300) > 1
