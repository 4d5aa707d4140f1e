"""Casbin, held so that its measured defects cannot reach a decision.

- Plain `Enforcer` only: `FastEnforcer` shares one filter between threads and allows what must be denied.
- Lines are typed values put in directly. No CSV adapter (a comma or a parenthesis in a name breaks every later
  decision), no adapter that removes too much, no table in which two processes store one line twice.
- The matcher is a file of ours, compiled once, without literals and calls (see `policies.matcher`).
- An enforcer without lines is never asked: Casbin would compare the request with empty strings and could allow it.
- Nothing is added or removed after construction: a changed scope is a new enforcer.
- Casbin writes each request into its log, allowed or not; here it has no log.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import casbin

from policies.matcher import Matcher, compile_matcher

Line = tuple[Any, ...]


class TinyEnforcer:
    """A few lines of one Casbin model, made once and only read afterwards; safe from any thread."""

    __slots__ = ("_enforcer", "_lines")

    def __init__(self, model_name: str, lines: Iterable[Line]) -> None:
        self._lines = tuple(dict.fromkeys(lines))
        self._enforcer = _prototype(model_name).with_lines(self._lines)

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


class _CompiledEnforcer(casbin.Enforcer):  # type: ignore[misc]
    """Casbin's plain enforcer with its matcher compiled beforehand; its loop over lines and its effect are Casbin's."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.logger = _NoLog()
        self._matcher = compile_matcher(model["m"]["m"].value)
        # At each call Casbin searches the matcher's text for `eval(` (6 of 12 us), which a compiled one cannot hold,
        # and copies the functions that a matcher may call, of which ours may call none.
        model["m"]["m"].value = "compiled"
        self.fm.fm.clear()

    def with_lines(self, lines: tuple[Line, ...]) -> _CompiledEnforcer:
        """Return an enforcer of the same model with these lines, which shares nothing that anybody changes."""
        assertion = copy.copy(self.model["p"]["p"])
        if any(len(line) != len(assertion.tokens) for line in lines):
            raise ValueError(f"a policy line does not have {len(assertion.tokens)} columns")
        assertion.policy = list(lines)
        assertion.policy_map = {}
        made = copy.copy(self)
        # Casbin only looks up in it what a plain dict finds sooner.
        made.model = {**self.model.model, "p": {"p": assertion}}
        return made

    def _get_expression(self, expr: str, functions: Mapping[str, Any] | None = None) -> Matcher:
        return self._matcher


class _NoLog:
    """What Casbin writes requests to."""

    def info(self, *_said: object) -> None:
        """Keep nothing."""

    def warning(self, *_said: object) -> None:
        """Keep nothing."""


@cache
def _prototype(model_name: str) -> _CompiledEnforcer:
    text = (resources.files("policies") / model_name).read_text("utf-8")
    return _CompiledEnforcer(casbin.Enforcer.new_model(text=text))
