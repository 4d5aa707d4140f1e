"""Casbin, held so that its measured defects cannot reach a decision.

- Plain `Enforcer` only: `FastEnforcer` shares one filter between threads and allows what must be denied.
- Lines are typed values put in directly. No CSV adapter (a comma or a parenthesis in a name breaks every later
  decision), no adapter that removes too much, no table in which two processes store one line twice.
- The matcher is a file of ours, without string literals (Casbin rewrites `||` and `!` inside them) and without `eval`.
- An enforcer without lines is never asked: Casbin would compare the request with empty strings and could allow it.
- Nothing is added or removed after construction: a changed scope is a new enforcer.
- The matcher is parsed once in a process. Casbin parses it anew on each call (25 of 38 us), and the parser of CPython
  3.11 fails now and then when two threads use it at once ("AST constructor recursion depth mismatch", gh-106905): a
  denial of what is allowed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib import resources
from typing import Any

import casbin
from casbin.util import SimpleEval

Line = tuple[Any, ...]
_PARSE_TRIES = 20


class TinyEnforcer:
    """A few lines of one Casbin model, made once and only read afterwards; safe from any thread."""

    def __init__(self, model_name: str, lines: Iterable[Line]) -> None:
        model = casbin.Enforcer.new_model(text=_model_text(model_name))
        self._lines = tuple(dict.fromkeys(lines))
        width = len(model["p"]["p"].tokens)
        if any(len(line) != width for line in self._lines):
            raise ValueError(f"a line of {model_name} does not have {width} columns")
        model["p"]["p"].policy = list(self._lines)
        self._enforcer = _ParsedOnceEnforcer(model)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The policy lines, each once."""
        return self._lines

    def find_line(self, *request: Any) -> Line | None:
        """Return the line that allows the request, or None; raises where the request is not of the model's types."""
        if not self._lines:
            return None
        allowed, line = self._enforcer.enforce_ex(*request)
        if allowed is not True or not line:
            return None
        return tuple(line)


class _ParsedOnceEnforcer(casbin.Enforcer):  # type: ignore[misc]
    """Casbin's plain enforcer with its matcher parsed beforehand.

    Only the immutable syntax tree is shared: the evaluator holds the request's values, so each call gets its own.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._tree = _parse(model["m"]["m"].value)

    def _get_expression(self, expr: str, functions: Mapping[str, Any] | None = None) -> SimpleEval:
        fresh = SimpleEval("", functions)
        fresh.ast_parsed_value = self._tree
        return fresh


_PARSING = threading.Lock()


@cache
def _parse(matcher: str) -> Any:
    with _PARSING:
        for _ in range(_PARSE_TRIES - 1):
            with suppress(SystemError):  # Another thread of the process, outside this lock, was parsing too.
                return casbin.Enforcer._get_expression(matcher).ast_parsed_value  # noqa: SLF001
        return casbin.Enforcer._get_expression(matcher).ast_parsed_value  # noqa: SLF001


def _model_text(name: str) -> str:
    return (resources.files("policies") / name).read_text("utf-8")
