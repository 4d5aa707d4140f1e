"""The command `synthesize`: a file becomes a synthetic table under differential privacy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shuzha.server.commands.language import Speaker, Words
from shuzha.server.commands.output import console, print_json, working

if TYPE_CHECKING:
    from desensitize.synthetic import SyntheticRelease

_WORDS: Words = {
    "working": ("synthesizing", "正在生成合成数据"),
    "written": ("written to {path}", "已写入 {path}"),
    "row": ("row", "行"),
    "entity": ("entity", "主体"),
}


def synthesize(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV or Parquet file.")],
    *,
    plan: Annotated[Path, typer.Option(exists=True, help="The plan, a TOML file with a part `synthetic`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new folder for the release.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the certificate as JSON.")] = False,
) -> None:
    """Replace a table by synthetic rows under differential privacy; every run spends the plan's epsilon anew."""
    from desensitize.synthetic import SyntheticPlan, release_synthetic

    speaker = Speaker(_WORDS)
    wanted = SyntheticPlan.from_toml(plan)
    with working(speaker.say("working")):
        release = release_synthetic(file, wanted)
        release.write(output)
    if as_json:
        print_json(release.certificate)
    else:
        said = _describe_in_chinese(release, speaker) if speaker.language == "zh" else release.synthesis.describe()
        console.print(said, highlight=False)
        console.print(speaker.say("written", path=output), highlight=False)


def _describe_in_chinese(release: SyntheticRelease, speaker: Speaker) -> str:
    """Return what `Synthesis.describe` says, in Chinese."""
    made = release.synthesis
    privacy, report = made.certificate["privacy"], made.report
    worst = max(report.list_columns(), key=lambda each: each.at_most)
    return (
        f"合成数据 {len(made.frame):,} 行 {len(made.frame.columns)} 列，由加噪计数的模型"
        f"（{made.certificate['method']['name'].upper()}）抽取。差分隐私 ε = {made.spent.epsilon:.6g}，"
        f"δ = {made.spent.delta:.3g}（zCDP ρ = {made.spent.rho:.6g}）：增减一个{speaker.say(privacy['unit'])}，"
        f"得到任何一张这样的表的可能性几乎不变。单列中偏离真实值最多的可能是“{worst.columns[0]}”：位置不同的行至多占 "
        f"{worst.at_most:.1%}（所有列同时成立的置信度为 {report.confidence:.0%}）。另有 {report.not_measured_pairs} "
        "对列未测量，仅由模型得出。"
    )
