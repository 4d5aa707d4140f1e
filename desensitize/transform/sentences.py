"""What a technique does to a column, in one sentence for people who read plans, pages and certificates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from desensitize.errors import InvalidPlan
from desensitize.transform.techniques import (
    Clip,
    Drop,
    Encrypt,
    GeneralizeAddress,
    GeneralizeAge,
    GeneralizeDate,
    GeneralizeNumber,
    GeneralizeRegion,
    GeneralizeTable,
    Keep,
    Mask,
    Noise,
    Pseudonymize,
    Redact,
    Round,
    Technique,
)

LANGUAGES: tuple[str, ...] = ("en", "zh")
Pair = tuple[str, str]
_WORDS: Mapping[str, Pair] = {
    "district": ("district", "区县"), "city": ("city", "地市"), "province": ("province", "省份"),
    "month": ("month", "年月"), "quarter": ("quarter", "季度"), "year": ("year", "年份"),
    "decade": ("decade", "年代"),
}  # fmt: skip


def say(technique: Technique, language: str) -> str:
    """Return the sentence of a technique in `en` or `zh`; refuses other languages."""
    if language not in LANGUAGES:
        raise InvalidPlan(f"plans are described in: {', '.join(LANGUAGES)}")
    return _SENTENCES[type(technique)](technique)[LANGUAGES.index(language)]


def _kept(technique: Mask | Encrypt) -> Pair:
    first, last = technique.keep_first, technique.keep_last
    parts = [(f"the first {first}", f"前 {first} 位")] if first else []
    parts += [(f"the last {last}", f"后 {last} 位")] if last else []
    return " and ".join(part[0] for part in parts), "和".join(part[1] for part in parts)


def _mask(technique: Mask) -> Pair:
    english, chinese = _kept(technique)
    if not english:
        return "Becomes ****.", "整体替换为 ****。"
    return f"Keeps {english} characters; the rest becomes ****.", f"保留{chinese}，其余替换为 ****。"


def _pseudonym(technique: Pseudonymize) -> Pair:
    name = technique.algorithm.upper()
    return (
        f"Becomes a keyed pseudonym ({name}): equal values stay equal within this authorization only.",
        f"替换为带密钥的假名（{name}）：相同值仅在本次授权内保持相同。",
    )


def _encrypt(technique: Encrypt) -> Pair:
    english, chinese = _kept(technique)
    kept = (f" {english[0].upper()}{english[1:]} characters stay.", f"保留{chinese}。") if english else ("", "")
    check = (" The check digit is made anew.", "校验位重新计算。") if technique.check else ("", "")
    return (
        f"Is encrypted with its format kept (FF1); the key's holder can restore it.{kept[0]}{check[0]}",
        f"保留格式加密（FF1），密钥持有者可还原。{kept[1]}{check[1]}",
    )


def _level(technique: GeneralizeRegion | GeneralizeAddress | GeneralizeDate) -> Pair:
    english, chinese = _WORDS[technique.level]
    return f"Becomes its {english}.", f"泛化到{chinese}。"


def _number(technique: GeneralizeNumber) -> Pair:
    if technique.edges:
        return _bands(technique.edges)
    return f"Becomes a band of width {technique.width:g}.", f"泛化为宽度 {technique.width:g} 的区间。"


def _bands(edges: tuple[float, ...]) -> Pair:
    listed = ", ".join(f"{edge:g}" for edge in edges)
    return f"Becomes one of the bands between {listed}.", f"泛化为区间，分界点：{listed}。"


def _age(technique: GeneralizeAge) -> Pair:
    english, chinese = _bands(technique.edges)
    if not technique.on:
        return english, chinese
    return f"The age on {technique.on}: {english[0].lower()}{english[1:]}", f"按 {technique.on} 计算年龄后{chinese}"


def _clip(technique: Clip) -> Pair:
    parts = [(f"below {technique.bottom:g}", f"低于 {technique.bottom:g}")] if technique.bottom is not None else []
    parts += [(f"above {technique.top:g}", f"高于 {technique.top:g}")] if technique.top is not None else []
    english, chinese = " or ".join(part[0] for part in parts), "或".join(part[1] for part in parts)
    return f"Numbers {english} become that limit.", f"{chinese}的数值取该界限值。"


def _noise(technique: Noise) -> Pair:
    if technique.epsilon:
        low, high, epsilon = f"{technique.bottom:g}", f"{technique.top:g}", f"{technique.epsilon:g}"
        return (
            f"Gets local differentially private noise (epsilon {epsilon} a cell) after clipping to {low} to {high}.",
            f"截断到 {low} 至 {high} 后加本地差分隐私噪声，每个单元格 ε={epsilon}。",
        )
    return (
        f"Gets noise of mean size {technique.scale:g}, which promises no formal privacy.",
        f"加入平均幅度 {technique.scale:g} 的噪声，不构成形式化的隐私保证。",
    )


_SENTENCES: Mapping[type[Technique], Callable[[Any], Pair]] = {
    Keep: lambda _: ("Stays as it is.", "原样保留。"),
    Drop: lambda _: ("Is left out.", "删除，不提供。"),
    Mask: _mask,
    Pseudonymize: _pseudonym,
    Encrypt: _encrypt,
    GeneralizeRegion: _level,
    GeneralizeAddress: _level,
    GeneralizeDate: _level,
    GeneralizeNumber: _number,
    GeneralizeAge: _age,
    GeneralizeTable: lambda each: (
        f"Becomes what its row in the plan's table says at level {each.level}.",
        f"按方案中的对照表泛化到第 {each.level} 级。",
    ),
    Round: lambda each: (f"Is rounded to multiples of {each.to:g}.", f"取整到 {each.to:g} 的倍数。"),
    Clip: _clip,
    Noise: _noise,
    Redact: lambda _: ("Identifiers in the text become labels.", "文本中的标识信息替换为标签。"),
}
