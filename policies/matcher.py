"""A Casbin matcher compiled once to bytecode: what Casbin would walk through `simpleeval` at each line and call.

Casbin parses a matcher anew on each decision (25 of 38 us), and rewrites `&&`, `||` and `!` even inside its literals.
Here its own parse is taken once and refused unless it only compares names: no literal, no call, no index.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from types import CodeType, MappingProxyType
from typing import Any

import casbin

from shuzha.core.errors import Invalid

_PARSE_TRIES = 20
_PARSING = threading.Lock()
_ALLOWED = (
    ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
    ast.In, ast.NotIn, ast.Name, ast.Attribute, ast.Load,
)  # fmt: skip


class Matcher:
    """A compiled matcher in the form that Casbin asks of an expression; immutable, so safe from any thread."""

    __slots__ = ("_code",)

    def __init__(self, code: CodeType) -> None:
        self._code = code

    def eval(self, names: Mapping[str, Any]) -> Any:
        """Return what the matcher says for these names; raises where one is missing or not comparable."""
        return eval(self._code, _NOTHING, names)  # noqa: S307 -- our own file, of names compared only


# Names are only read, so nothing is ever put into it.
_NOTHING: dict[str, Any] = {"__builtins__": MappingProxyType({})}


@cache
def compile_matcher(text: str) -> Matcher:
    """Return the matcher of a model, compiled once in a process; refuses anything but names that are compared.

    The parser of CPython 3.11 fails now and then when two threads use it at once ("AST constructor recursion depth
    mismatch", gh-106905), so it is asked again.
    """
    with _PARSING:
        for _ in range(_PARSE_TRIES - 1):
            with suppress(SystemError):  # Another thread of the process, outside this lock, was parsing too.
                return _compile(text)
        return _compile(text)


def _compile(text: str) -> Matcher:
    tree = casbin.Enforcer._get_expression(text).ast_parsed_value  # noqa: SLF001
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Attribute) and node.attr.startswith("_")):
            raise Invalid(
                f"a matcher holds a {type(node).__name__}", rule="policies.matcher", accepted="names that are compared"
            )
    whole = ast.fix_missing_locations(ast.Expression(tree))
    return Matcher(compile(whole, "matcher", "eval"))
