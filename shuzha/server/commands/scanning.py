"""The command `scan`: what a file holds, told in a table, and the plan that follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shuzha.core.errors import Invalid
from shuzha.server.commands.language import Speaker, Words, find_language
from shuzha.server.commands.output import console, error_console, print_json, print_notes, print_table, working

if TYPE_CHECKING:
    from desensitize import ColumnFinding, Found, QuasiIdentifiers, ScanReport

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV or Parquet file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PlanFile = Annotated[Path | None, typer.Option(help="Write the proposed plan here, to a new file.")]
Combinations = Annotated[
    bool | None,
    typer.Option(help="Say which sets of columns single people out; up to 100,000 rows unless told otherwise."),
]
Language = Annotated[str | None, typer.Option(help="zh or en; default: the locale's.")]
_WIDE = 130

# The words of the two languages, as docs/reference/terms.md and the portal have them.
_WORDS: Words = {
    "scanning": ("scanning", "正在扫描"),
    "title": ("{file}: what was found in {rows:,} rows", "{file}：共 {rows:,} 行，识别结果如下"),
    "column": ("column", "列名"),
    "identifiers": ("identifiers", "识别结果"),
    "hit rate": ("hit rate", "命中率"),
    "role": ("role", "角色"),
    "grade": ("grade", "分级"),
    "technique": ("technique", "建议处理"),
    "why": ("why", "依据"),
    "mixed": ("mixed", "混合"),
    "stray": ("stray", "零星"),
    "inside": ("inside", "文中"),
    "named": ("named", "列名"),
    "direct": ("direct", "直接标识"),
    "quasi": ("quasi", "准标识"),
    "sensitive": ("sensitive", "敏感"),
    "other": ("other", "其他"),
    "keep": ("keep", "保留"),
    "drop": ("drop", "删除"),
    "mask": ("mask", "掩码"),
    "pseudonymize": ("pseudonymize", "假名化"),
    "encrypt": ("encrypt", "加密（保留格式）"),
    "generalize": ("generalize", "泛化"),
    "round": ("round", "取整"),
    "redact": ("redact", "遮蔽"),
    "row": ("row", "行"),
    "sets": (
        "columns that single people out (one {who} is a person; up to {size} columns together)",
        "可唯一确定到人的列组合（每个“{who}”算一人；最多 {size} 列）",
    ),
    "no sets": (
        "no set of up to {size} columns singles out {least:.0%} of the people (one {who} is a person)",
        "没有 {size} 列以内的组合可唯一确定 {least:.0%} 以上的人（每个“{who}”算一人）",
    ),
    "columns": ("columns", "列组合"),
    "alone": ("alone", "唯一确定"),
    "fewer": ("fewer than {k}", "不足 {k} 人"),
    "measured on": ("measured on", "测量范围"),
    "whole": ("whole table", "全表"),
    "sample": ("sample, ± {margin:.1%}", "抽样，± {margin:.1%}"),
    "tried": ("not all sets were tried: the first {tried}", "未尝试全部组合：仅前 {tried} 个"),
    "cautions": ("left as it is by the proposal; please look at it:", "建议方案原样保留，请人工确认："),
    "written": ("the proposed plan is in {path}", "建议方案已写入 {path}"),
}


def scan(
    file: File,
    *,
    as_json: AsJson = False,
    plan: PlanFile = None,
    combinations: Combinations = None,
    language: Language = None,
) -> None:
    """Find identifiers in a file, and propose a role, a grade and a technique for each column."""
    import desensitize

    spoken = find_language(language)
    if plan is not None and plan.exists():
        # It may have been edited since it was proposed.
        raise Invalid(f"{plan.name} is already there", rule="scan.plan", accepted="the name of a new file")
    with working(_Printer(spoken).say("scanning")):
        report = desensitize.scan(file, combinations=combinations)
    if plan is not None:
        proposed = report.to_plan()
        remarks = {name: f"请注意：{text}" for name, text in report.cautions("zh").items()}
        plan.write_text(proposed.to_toml("zh", remarks), "utf-8")
    if as_json:
        print_json(report.to_dict())
    else:
        _Printer(spoken).print(file, report)
    if plan is not None:
        error_console.print(_Printer(spoken).say("written", path=plan), highlight=False, markup=False)


class _Printer(Speaker):
    """Prints a report in one language."""

    def __init__(self, language: str) -> None:
        super().__init__(_WORDS, language)

    def print(self, file: Path, report: ScanReport) -> None:
        headings = ["column", "identifiers", "hit rate", "role", "grade", "technique"]
        wide = console.width >= _WIDE
        rows = [[*self._row(each), *([self._why(each)] if wide else [])] for each in report.columns]
        words = [self.say(heading) for heading in [*headings, *(["why"] if wide else [])]]
        print_table(self.say("title", file=file.name, rows=report.rows), words, rows)
        if report.quasi_identifiers is not None:
            self._print_combinations(report.quasi_identifiers)
        cautions = report.cautions(self.language)
        if cautions:
            print_notes(self.say("cautions"), cautions)

    def _row(self, each: ColumnFinding) -> tuple[str, ...]:
        return (
            each.name,
            "\n".join(self._told(found) for found in each.entities) or "—",
            f"{each.hit_rate:.1%}" if each.entities else "—",
            self.say(each.role),
            str(each.grade),
            self.say(str(each.technique["technique"])),
        )

    def _told(self, found: Found) -> str:
        name = found.chinese if self.language == "zh" else found.entity
        return name if found.how == "is" else f"{name} ({self.say(found.how)})"

    def _why(self, each: ColumnFinding) -> str:
        return "\n".join(each.evidence_zh if self.language == "zh" else each.evidence)

    def _print_combinations(self, found: QuasiIdentifiers) -> None:
        who, size = found.entity or self.say("row"), found.max_size
        if not found.combinations:
            text = self.say("no sets", who=who, size=size, least=found.least)
            console.print(text, highlight=False, markup=False)
            return
        rows = [
            (
                " + ".join(one.columns),
                f"{one.alone:.1%}",
                f"{one.small:.1%}",
                self.say("whole") if one.exact else self.say("sample", margin=one.margin),
            )
            for one in found.combinations
        ]
        headings = [self.say("columns"), self.say("alone"), self.say("fewer", k=found.k), self.say("measured on")]
        print_table(self.say("sets", who=who, size=size), headings, rows)
        if not found.complete:
            console.print(self.say("tried", tried=found.tried), highlight=False)
