"""Errors of the engine. Messages name the thing and the rule; they never hold a data value."""

from __future__ import annotations


class DesensitizeError(Exception):
    """The root of this package's errors, for a caller who maps them all at once."""


class InvalidPlan(DesensitizeError):
    """A plan, hierarchy or option cannot be used; the message says which and what would be accepted."""


class InvalidInput(DesensitizeError):
    """The table (or file) cannot be used; the message says which column and what would be accepted."""


class Unfinished(InvalidInput):
    """What an earlier, killed run of another input, plan or key has stored is in the way; it is left as it is."""


class Cancelled(DesensitizeError):
    """The caller cancelled a long run; nothing of it is left but what was asked to be kept."""
