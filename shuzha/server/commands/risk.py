"""The command `risk`: measure how likely people are found again in a file, or check a certificate against its data."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shuzha.core.errors import Invalid, NotAllowed
from shuzha.server.commands.language import Speaker, Words
from shuzha.server.commands.output import error_console, print_facts, print_json, print_table, working

if TYPE_CHECKING:
    from desensitize.certificate import Check
    from desensitize.risk.measures import Risk

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV or Parquet file.")]
QuasiIdentifiers = Annotated[str, typer.Option("--qi", help="Quasi-identifiers, joined by commas.")]
Entity = Annotated[str | None, typer.Option(help="The column that says whose data a row is; classes count entities.")]
Mode = Annotated[str, typer.Option(help="public, agreement or enclave: whose limits apply.")]
Population = Annotated[
    str | None, typer.Option(help="How many people the table was drawn from, or a table of all of them.")
]
Original = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="The raw table: the page adds the risk before and what is kept."),
]
Html = Annotated[Path | None, typer.Option(help="Write a page with charts here: one file, nothing outside it.")]
Language = Annotated[str, typer.Option(help="The page's language: zh or en.")]
Certificate = Annotated[
    Path | None,
    typer.Option("--verify", exists=True, dir_okay=False, help="Check this certificate against the file."),
]
PublicKey = Annotated[
    str | None, typer.Option(help="With --verify: the platform's public key, in hex or a file of it.")
]
Signature = Annotated[
    str | None, typer.Option(help="With --verify: the signature, in hex or a file; default: the .sig beside it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LANGUAGES = {"zh": "zh_Hans", "en": "en"}
_HIDDEN = {"limits", "profile", "reasons", "population"}
_WORDS: Words = {
    "measuring": ("measuring", "正在度量"),
    "checking": ("checking", "正在核验"),
    "writing": ("writing the page", "正在生成页面"),
    "written": ("written to {path}", "已写入 {path}"),
    "title": ("{file}: re-identification risk", "{file}：重标识风险"),
    "the population": ("the population", "总体估计"),
    "by size": ("classes by size", "等价类的大小分布"),
    "band": ("size", "大小"),
    "why": ("why", "原因"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "against": ("{certificate}: against {file}", "{certificate}：与 {file} 核对"),
    "what": ("what", "项目"),
    "holds": ("holds", "一致"),
    "does not hold": ("does not hold", "不一致"),
    "not checked": ("not checked", "未核对"),
    "signature": ("signature", "签名"),
    "file": ("file", "文件"),
    "rows": ("rows", "行数"),
    "columns": ("columns", "列"),
    "content": ("content", "内容"),
    "classes": ("classes", "等价类"),
    "quasi_identifiers": ("quasi identifiers", "准标识符"),
    "entity": ("entity", "主体"),
    "entities": ("entities", "主体数"),
    "smallest_class": ("smallest class", "最小等价类"),
    "average_class": ("average class", "平均等价类"),
    "prosecutor": ("prosecutor", "检察官模型风险"),
    "journalist": ("journalist", "记者模型风险"),
    "marketer": ("marketer", "营销者模型风险"),
    "records_at_risk": ("records at risk", "风险超限记录占比"),
    "uniques": ("uniques", "唯一记录占比"),
    "overall": ("overall", "总体风险"),
    "level": ("level", "风险等级"),
    "meets": ("meets", "是否达标"),
    "size": ("size", "总体人数"),
    "fraction": ("fraction", "抽样比例"),
    "model": ("model", "模型"),
    "pitman": ("pitman", "Pitman 模型"),
    "zayatz": ("zayatz", "Zayatz 模型"),
    "snb": ("snb", "SNB 模型"),
}
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64


def risk(
    file: File,
    *,
    qi: QuasiIdentifiers = "",
    entity: Entity = None,
    mode: Mode = "agreement",
    population: Population = None,
    original: Original = None,
    html: Html = None,
    language: Language = "zh",
    certificate: Certificate = None,
    public_key: PublicKey = None,
    signature: Signature = None,
    as_json: AsJson = False,
) -> None:
    """Measure how likely a person can be found again; ends with 1 when the limits of the mode are not met.

    With --verify: count the certificate's classes and hashes again; ends with 1 when something does not hold.
    """
    if language not in LANGUAGES:
        raise Invalid("that language is not spoken", rule="risk.language", accepted=", ".join(LANGUAGES))
    if certificate is not None:
        _verify(file, certificate, public_key, signature, html, LANGUAGES[language], as_json=as_json)
        return
    columns = [name.strip() for name in qi.split(",") if name.strip()]
    if not columns:
        raise Invalid("no quasi-identifiers were named", rule="risk.columns", accepted="--qi a,b")
    found = _measure(file, columns, entity, mode, population)
    if html is not None:
        _write_report(html, file, found, original, LANGUAGES[language])
    _print(file, found, as_json=as_json)
    if not found.meets:
        raise NotAllowed(f"the risk exceeds the limits of mode {mode}", rule="risk.limits")


def _measure(file: Path, columns: list[str], entity: str | None, mode: str, population: str | None) -> Risk:
    import desensitize

    size = int(population) if population is not None and population.isascii() and population.isdigit() else None
    with working(Speaker(_WORDS).say("measuring")):
        return desensitize.measure_risk(
            file, columns, entity, population if size is None else None, population_size=size,
            limits=desensitize.limits_of(mode),
        )  # fmt: skip


def _print(file: Path, found: Risk, *, as_json: bool) -> None:
    facts = found.to_dict()
    if as_json:
        print_json(facts)
        return
    speaker = Speaker(_WORDS)
    say = speaker.say
    shown = {say(key): _tell(speaker, key, facts[key]) for key in facts if key not in _HIDDEN}
    print_facts(say("title", file=file.name), shown)
    if facts["population"]:
        told = {say(key): _tell(speaker, key, value) for key, value in facts["population"].items()}
        print_facts(say("the population"), told)
    bands = [(size, f"{classes:,}", f"{rows:,}") for size, classes, rows in found.profile if classes]
    print_table(say("by size"), (say("band"), say("classes"), say("rows")), bands)
    if found.reasons:
        print_facts(say("why"), {str(number): reason for number, reason in enumerate(found.reasons, 1)})


def _tell(speaker: Speaker, name: str, value: object) -> str:
    """Return a fact for people: shares in per cent, counts with their thousands, names joined by commas."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return speaker.say("yes" if value else "no")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.2f}" if name == "average_class" else f"{value:.4%}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _write_report(html: Path, file: Path, found: Risk, original: Path | None, language: str) -> None:
    from desensitize.certificate import report
    from shuzha.portal.paper import render_paper

    with working(Speaker(_WORDS).say("writing")):
        content = json.loads(json.dumps(report(file, found, original)))
        page = render_paper(content, language, name=file.name, made_at=dt.datetime.now(dt.UTC).isoformat())
    html.write_text(page, "utf-8")
    error_console.print(Speaker(_WORDS).say("written", path=html), highlight=False)


def _verify(
    file: Path, path: Path, public_key: str | None, signature: str | None, html: Path | None, language: str,
    *, as_json: bool,
) -> None:  # fmt: skip
    from desensitize.certificate import verify
    from shuzha.portal.paper import render_paper

    written = path.read_bytes()
    content = _parse(written, path)
    sealed = _find_signature(path, signature)
    with working(Speaker(_WORDS).say("checking")):
        checks = [_check_signature(written, sealed, public_key), *_check_file(content, file)]
        checks += verify(file, content.get("desensitization") or content)
    say = Speaker(_WORDS).say
    rows = [
        (say(each.what), say({True: "holds", False: "does not hold", None: "not checked"}[each.holds]), each.why)
        for each in checks
    ]
    if html is not None:
        html.write_text(
            render_paper(content, language, name=path.name, made_at=content.get("made_at"), signature=sealed), "utf-8"
        )
    if as_json:
        print_json([{"what": each.what, "holds": each.holds, "why": each.why} for each in checks])
    else:
        print_table(say("against", certificate=path.name, file=file.name), (say("what"), "", say("why")), rows)
    if any(each.holds is False for each in checks):
        raise NotAllowed("the certificate does not hold for this file", rule="risk.verify")


def _parse(written: bytes, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(written)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Invalid(f"{path.name} is not JSON", rule="risk.verify", accepted="a certificate.json") from error
    if not isinstance(content, dict):
        raise Invalid(f"{path.name} is no certificate", rule="risk.verify", accepted="a certificate.json")
    return content


def _find_signature(path: Path, given: str | None) -> str:
    beside = path.with_suffix(".sig")
    if given is None:
        return beside.read_text("ascii").strip() if beside.is_file() else ""
    return _read_hex(given, _SIGNATURE_BYTES, "signature")


def _read_hex(given: str, length: int, what: str) -> str:
    text = (
        Path(given).read_text("ascii").strip() if len(given) < 4 * length and Path(given).is_file() else given.strip()
    )
    try:
        known = bytes.fromhex(text)
    except ValueError:
        known = b""
    if len(known) != length:
        raise Invalid(
            f"the {what} cannot be read", rule="risk.verify", accepted=f"{length} bytes in hex, or a file of it"
        )
    return text


def _check_signature(written: bytes, signature: str, public_key: str | None) -> Check:
    from desensitize.certificate import Check
    from shuzha.releases.certificate import verify_certificate

    if public_key is None or not signature:
        missing = "--public-key" if public_key is None else "--signature"
        return Check("signature", None, f"give {missing} to check it")
    key = bytes.fromhex(_read_hex(public_key, _KEY_BYTES, "public key"))
    return Check("signature", verify_certificate(written, signature, key))


def _check_file(content: dict[str, Any], file: Path) -> list[Check]:
    """Return whether the file is byte for byte the one that a release's certificate names, where it names one."""
    from desensitize.certificate import Check
    from shuzha.releases.certificate import DATA_FILE, hash_file

    named = (content.get("files") or {}).get(DATA_FILE)
    return [] if named is None else [Check("file", hash_file(file) == named["sha256"])]
