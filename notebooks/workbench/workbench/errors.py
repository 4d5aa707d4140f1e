"""The one error of this library."""

from __future__ import annotations


class WorkbenchError(Exception):
    """Something was refused: the message says what, `rule` by which rule, `accepted` what would have been taken.

    In a notebook it is shown as these lines alone, without a traceback through the library.
    """

    def __init__(self, message: str, *, rule: str = "", accepted: str = "") -> None:
        super().__init__(f"{message} (accepted: {accepted})" if accepted else message)
        self.message = message
        self.rule = rule
        self.accepted = accepted

    def _render_traceback_(self) -> list[str]:
        said = [f"\x1b[31mworkbench\x1b[0m: {self.message}"]
        said += [f"  规则 rule: {self.rule}"] if self.rule else []
        said += [f"  接受 accepted: {self.accepted}"] if self.accepted else []
        return said
