"""The one error of this library."""

from __future__ import annotations


class WorkbenchError(Exception):
    """Something was refused; the message says what, by which rule, and what would be accepted."""
