"""How the platform's answers look: balances, the workspace and its requests, what a check found, a new request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from workbench import page
from workbench.figures import Figure
from workbench.mending import apply_repair, say
from workbench.page import Markup
from workbench.show import Shown
from workbench.specifications import Table
from workbench.words import EXPORT_STATES, RULES, SEVERITIES, VERDICTS, WORKSPACE_STATES

WARN_DAYS = 7
_WARN_SHARE = 0.8
_MOST_FINDINGS = 50


class Balance(Shown):
    """What is left: `days_left`, `screen_bytes_left` of `screen_budget`, `privacy`."""

    def _repr_html_(self) -> str:
        data = self.data
        soon = data["days_left"] < WARN_DAYS
        days = f"{data['days_left']} 天 days"
        rows = [("期限 term", page.label(f"{days} · 即将到期 ends soon", "warn") if soon else days)]
        shown, most = data["screen_bytes_today"], data["screen_budget"]
        tone = "bad" if shown >= most else "warn" if shown >= _WARN_SHARE * most else ""
        said = f"已用 used {page.size(shown)} / {page.size(most)} · 剩余 left {page.size(data['screen_bytes_left'])}"
        rows.append(("今日屏显额度 screen budget today", page.bar("screen budget", shown, most, said, tone)))
        rows += _privacy_rows(data["privacy"])
        return page.join([page.heading(self.title), page.facts(rows)])


def _privacy_rows(privacy: Mapping[str, Any]) -> list[tuple[str, Any]]:
    name = "隐私预算 privacy budget"
    if not privacy.get("set"):
        return [(name, "未设置：不能问带噪声的统计 · none is set: no noisy answers")]
    left, entry = privacy["left_epsilon"], privacy.get("entry", {})
    most = entry.get("epsilon")
    if most is None:
        return [(name, f"epsilon {left:g}")]
    said = f"剩余 left: epsilon {left:g} / {most:g}"
    return [(name, page.bar("privacy budget", most - left, most, said, "" if left > 0 else "bad"))]


class Standing(Shown):
    """How the workspace stands: `state`, `valid_until`, and its `exports` with their states."""

    def _repr_html_(self) -> str:
        data = self.data
        state = f"{WORKSPACE_STATES.get(data['state'], '')} {data['state']}".strip()
        head = page.heading(self.title, data["scenario"], state, f"至 until {str(data['valid_until'])[:10]}")
        return page.join([head, list_exports(data["exports"])])


def list_exports(exports: Sequence[Mapping[str, Any]]) -> Markup:
    """Return export requests as a table, or a sentence where there is none."""
    if not exports:
        return page.quiet("还没有出域申请 · nothing was asked to leave yet")
    heads = ("申请 request", "状态 state", "最近的理由 last reason", "编号 id")
    return page.table(heads, [(one["title"], state_label(one["state"]), one["reason"], one["id"]) for one in exports])


def state_label(state: str) -> Markup:
    """Return the state of an export request as a word in both languages."""
    chinese, tone = EXPORT_STATES.get(state, ("", ""))
    return page.label(f"{chinese} {state}".strip(), tone)


class Request(Shown):
    """An export request: its `id` and `state`, and what happens next."""

    def _repr_html_(self) -> str:
        data = self.data
        rows = [("编号 id", data.get("id")), ("状态 state", state_label(str(data.get("state", "")))),
                ("说明 reason", data.get("reason"))]  # fmt: skip
        hint = (
            "平台在洁净室重算、逐项检查，然后两人审核；workbench.status() 看进度 · the platform runs it again in a"
            " clean room and checks it, then two people review it; workbench.status() says how it stands"
        )
        return page.join([page.heading(self.title), page.facts(rows), page.quiet(hint)])


class Findings(Shown):
    """What the automatic checks say: `verdict` (pass, review, block), `findings`, and how to mend it: `.repairs`.

    `.apply(name)` gives the output with a repair that the platform tried and found to pass.
    """

    def __init__(self, title: str, data: Any, specification: Mapping[str, Any]) -> None:
        super().__init__(title, data)
        self.tried = list(data.get("repairs") or ())
        self.repairs = [f'.apply("{one["name"]}")：{say(one)}' for one in self.tried]
        self.repairs += suggest(data["findings"], specification, {one["name"] for one in self.tried})

    def apply(self, name: str) -> Table | Figure:
        """Return the output with the repair `name` of those that were tried; check or export it next."""
        return apply_repair(self.tried, name)

    @property
    def passed(self) -> bool:
        """Whether nothing blocks it; people review every request all the same."""
        return bool(self.data["verdict"] != "block")

    def __repr__(self) -> str:
        found = [f"- {one['severity']}: {one['rule']}; accepted: {one['accepted']}" for one in self.data["findings"]]
        return "\n".join([f"{self.title}: {self.data['verdict']}", *found, *(f"→ {one}" for one in self.repairs)])

    def _repr_html_(self) -> str:
        data = self.data
        word, tone = VERDICTS.get(data["verdict"], (data["verdict"], ""))
        counted = f"{data['rows']:,} 行 rows" if data.get("rows") is not None else ""
        parts: list[Any] = [page.heading(self.title, page.label(word, tone), counted)]
        found = data["findings"]
        heads = ("规则 rule", "结论 severity", "何处 where", "实测 measured", "限值 limit", "接受 accepted")
        if found:
            parts.append(page.table(heads, [_finding(one) for one in found[:_MOST_FINDINGS]]))
        if len(found) > _MOST_FINDINGS:
            parts.append(page.quiet(f"另有 {len(found) - _MOST_FINDINGS} 条 · more of the same kind are not shown"))
        if self.repairs:
            parts += [
                page.tag("p", "可以这样修改 · to mend it:"),
                page.tag("ul", *(page.tag("li", one) for one in self.repairs)),
            ]
        return page.join(parts)


def _finding(one: Mapping[str, Any]) -> tuple[Any, ...]:
    chinese, english = RULES.get(one["rule"], ("", ""))
    word, tone = SEVERITIES.get(one["severity"], (one["severity"], ""))
    cell = " · ".join(f"{name}={value}" for name, value in (one.get("cell") or {}).items())
    rule = page.join([page.tag("code", one["rule"]), page.BREAK, f"{chinese} · {english}" if chinese else english])
    return (
        rule,
        page.label(word, tone),
        cell or one.get("place", ""),
        one.get("figure"),
        one.get("limit"),
        one["accepted"],
    )


def suggest(
    findings: Sequence[Mapping[str, Any]], specification: Mapping[str, Any], tried: Collection[str] = ()
) -> list[str]:
    """Return what to change so that the findings go away, the least change first; empty when nothing blocks.

    What was `tried` need not be said again.
    """
    blocked = {one["rule"] for one in findings if one["severity"] == "block"}
    if not blocked or specification.get("kind") != "table":
        return []
    groups = [*specification.get("rows", ()), *specification.get("columns", ())]
    counts = specification.get("aggregate") in {"count", "entities"}
    said = []
    cells = {"min_count", "zero_cell", "class_disclosure"}
    if blocked & cells and counts and 1 <= len(groups) <= 2 and specification.get("repair") == "none" and not tried:
        said.append('workbench.table(…, repair="suppress")：由平台隐去小格 · the platform leaves small cells out')
    if blocked & (cells | {"dominance_nk", "dominance_p", "dof", "extreme"}) and groups and "merge" not in tried:
        said.append(f"减少或合并分组（现有 {len(groups)} 个） · group by fewer or coarser columns ({len(groups)} now)")
    if blocked & {"dominance_nk", "dominance_p"}:
        said.append('用 aggregate="count" 或 "entities" · count instead of adding up')
    if "extreme" in blocked:
        said.append('用 aggregate="mean" 代替极值 · take a mean instead of an extreme')
    if "differencing" in blocked:
        said.append("合并两份总体相近的成果 · leave out one of two outputs whose populations nearly agree")
    if "scope" in blocked:
        said.append("只用 workbench.datasets() 列出的列 · use only columns that workbench.datasets() lists")
    return said
