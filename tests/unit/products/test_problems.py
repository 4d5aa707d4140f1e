"""Problems are a closed list: what the API raises stands in it, and the OpenAPI document shows each by example."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jsonschema_rs
import pytest

from products.serving.contract import make_documented_app
from products.serving.documents import EXAMPLES, operations
from products.serving.problems import PROBLEMS, find_problem, page_of

SERVING = Path(__file__).parents[3] / "products" / "serving"


def raised() -> set[tuple[int, str]]:
    """Status and code of every refusal in the source; a changing part of a code is written as `x`."""
    found = set()
    for path in SERVING.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal" and len(node.args) > 1:
                status, code = node.args[:2]
                if isinstance(code, ast.JoinedStr):
                    parts = [str(part.value) if isinstance(part, ast.Constant) else "x" for part in code.values]
                    code = ast.Constant("".join(parts))
                if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                    found.add((status.value, code.value))
    return found


def test_every_refusal_of_the_source_is_a_known_problem() -> None:
    found = raised()
    assert len(found) > 20
    missing = sorted(
        (status, code)
        for status, code in found
        if not any(re.fullmatch(code.replace("x", "[a-z_]+") if "_x" in code else code, one.code.replace("*", "x"))
                   and one.status == status for one in PROBLEMS)
    )  # fmt: skip
    assert missing == [], "add them to products/serving/problems.py"


@pytest.mark.parametrize("code", ["authorization_suspended", "grant_closed", "scope_hours", "key_missing"])
def test_a_code_leads_to_its_problem(code: str) -> None:
    found = find_problem(code)
    assert found is not None
    assert found.status in (401, 403)


def test_an_unknown_code_leads_nowhere() -> None:
    assert find_problem("scopes") is None
    assert find_problem("") is None


def test_codes_are_told_once_and_in_both_languages() -> None:
    codes = [one.code for one in PROBLEMS]
    assert len(set(codes)) == len(codes)
    for one in PROBLEMS:
        assert one.detail
        assert all(re.search("[\u4e00-\u9fff]", text) for text in (one.means_zh, one.helps_zh)), one.code
    page = page_of(PROBLEMS)
    assert all(f'id="{code}"' in page for code in codes)


@pytest.fixture(scope="module")
def document():
    return make_documented_app(None, None, None, None).openapi()


def test_every_operation_shows_its_call_its_answer_and_each_of_its_problems(document) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            for kind, media in response.get("content", {}).items():
                shown = media.get("examples") or media.get("example")
                assert shown, (name, status, kind)
        for media in operation.get("requestBody", {}).get("content", {}).values():
            assert media["example"], name
    assert {name for name, _ in operations(document)} >= EXAMPLES.keys()


def test_every_example_fits_its_schema(document) -> None:
    checked, validators = 0, {}
    for name, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (one for body in bodies for one in body.get("content", {}).values()):
            several = [one["value"] for one in media.get("examples", {}).values()]
            schema = str(media["schema"])
            if schema not in validators:
                whole = {**media["schema"], "components": document["components"]}
                validators[schema] = jsonschema_rs.validator_for(whole)
            for value in [media["example"]] if "example" in media else several:
                found = next(iter(validators[schema].iter_errors(value)), None)
                assert found is None, (name, value, found.message)
                checked += 1
    assert checked > 200
