"""How a workspace stands with its screen budget: what a panel in the page, the portal and the API say of it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.workspaces.gate.meter import Count

WARN_AT = 0.8
"""The share of a day's budget from which its analyst is warned, while there is still something left."""

_WORDS_ZH = {
    "low": "今日显示额度已用 {share}%，剩余 {left} 字节；用完后页面不再显示任何内容，结果请通过出域申请带出。",
    "used": "今日显示额度已用完；次日零点恢复，管理机构也可调高。结果请通过出域申请带出。",
}
_WORDS_EN = {
    "low": "{share}% of today's screen budget is used, {left} bytes are left; at its end nothing more is shown.",
    "used": "Today's screen budget is used up; it begins anew at midnight, and the authority can raise it.",
}
_WAY_OUT = " Take results out by an export request."


@dataclass(frozen=True, slots=True)
class Standing:
    """One day of one workspace: what it has shown, by class, and what it may."""

    workspace: str
    day: str
    budget: int
    classes: Mapping[str, Count]

    @property
    def shown(self) -> int:
        """The bytes shown, over all classes."""
        return sum(count.shown for count in self.classes.values())

    @property
    def left(self) -> int:
        """The bytes that may still be shown, never below zero."""
        return max(self.budget - self.shown, 0)

    @property
    def state(self) -> str:
        """`fine`, `low` (from WARN_AT on) or `used`."""
        if self.left == 0:
            return "used"
        return "low" if self.shown >= self.budget * WARN_AT else "fine"

    def notice(self) -> dict[str, str] | None:
        """Return what its analyst is to be told once, with an id that is another for each day and state; else None."""
        state = self.state
        if state == "fine":
            return None
        share = 100 if self.budget == 0 else min(100, self.shown * 100 // self.budget)
        chinese, english = (words[state].format(share=share, left=self.left) for words in (_WORDS_ZH, _WORDS_EN))
        return {
            "id": f"screen-{state}-{self.day}", "code": f"screen_budget_{state}", "zh": chinese,
            "en": english + _WAY_OUT,
        }  # fmt: skip

    def to_dict(self, resets_at: dt.datetime) -> dict[str, Any]:
        """Return the standing as the gate's status route answers it."""
        return {
            "workspace": self.workspace, "day": self.day, "shown": self.shown, "budget": self.budget,
            "left": self.left, "state": self.state, "warned": self.state != "fine", "stopped": self.state == "used",
            "warn_at": WARN_AT, "resets_at": resets_at.isoformat(),
            "classes": {
                name: {"shown": one.shown, "received": one.received, "messages": one.messages}
                for name, one in sorted(self.classes.items())
            },
            "notice": self.notice(),
        }  # fmt: skip
