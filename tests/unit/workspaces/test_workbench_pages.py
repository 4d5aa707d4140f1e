"""What a notebook shows of the library's answers: readable in both languages, escaped, nothing beyond the answer."""

from __future__ import annotations

import ast
import json
import re
import socket
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import polars as pl
import pytest
from workbench_kit import FOLDER, MADE, PAGE, imported_workbench, render_reference

from sandbox.airlock.model import ExportState
from sandbox.airlock.rules import NOTES
from sandbox.workspaces.model import WorkspaceState

EVIL = '<script>alert("x")</script>'
CERTIFICATE = {
    "source": {"raw_version": 7, "grade": 3},
    "desensitization": {
        "done": {
            "anonymized": {"k": 3, "suppressed": 12},
            "sentences": {"zh": {"who": "替换为假名。", "district": EVIL}, "en": {"who": "Becomes a pseudonym."}},
        }
    },
}
GRANTED = [
    {
        "name": "insurance", "kind": "release", "rows": 1234, "columns": ["who", "district"], "version": 7,
        "title": {"zh": "社保", "en": f"Insurance {EVIL}"}, "abstract": EVIL,
        "elements": [{"name": "who", "title": {"zh": "人", "en": "Person"}}],
    },
    {"name": "codes", "kind": "own", "rows": 2, "columns": ["code"]},
]  # fmt: skip
ANSWERS: dict[str, Any] = {
    "datasets": GRANTED,
    "budget": {
        "days_left": 3, "screen_bytes_today": 900, "screen_bytes_left": 100, "screen_budget": 1000,
        "privacy": {"set": True, "left_epsilon": 0.25, "entry": {"epsilon": 1.0}},
    },
    "status": {
        "workspace": "wsp_1", "state": "open", "scenario": EVIL, "valid_until": "2026-12-01T00:00:00+00:00",
        "exports": [{"id": "exp_1", "title": EVIL, "state": "returned", "reason": "too <small>"}],
    },
    "check": {
        "verdict": "block", "rows": 30,
        "findings": [
            {
                "rule": "min_count", "severity": "block", "file": "check", "place": "", "figure": 3, "limit": 10,
                "cell": {"district": EVIL}, "accepted": "10 or more",
            }
        ],
        "repairs": [
            {
                "name": "suppress", "says": EVIL, "verdict": "pass", "shown": 28, "hidden": 2,
                "specification": {
                    "kind": "table", "release": "insurance", "rows": ["district"], "aggregate": "count",
                    "repair": "suppress", "merges": [], "coding": None, "where": [], "columns": [], "value": None,
                },
            }
        ],
    },
    "submit": {"id": "exp_1", "title": "report", "state": "submitted", "reason": "asked"},
}  # fmt: skip


class SlowPlatform:
    """A platform's socket that answers every verb from a list, after a while; one verb it refuses."""

    def __init__(self, path: Path, delay: float = 0.0) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self.delay = delay
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                channel, _ = self._listening.accept()
            except OSError:
                return
            with channel, channel.makefile("rwb") as file:
                call = json.loads(file.readline())
                threading.Event().wait(self.delay)
                if call["verb"] == "dp":
                    refused = {
                        "code": "not_allowed",
                        "message": "no budget",
                        "rule": "dp.budget",
                        "accepted": "a budget",
                    }
                    said: dict[str, Any] = {"ok": False, "error": refused}
                else:
                    said = {"ok": True, "result": ANSWERS[call["verb"]]}
                file.write(json.dumps(said).encode() + b"\n")

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowPlatform]:
    release, own = tmp_path / "data" / "insurance", tmp_path / "data" / "own" / "codes"
    for folder in (release, own):
        folder.mkdir(parents=True)
    pl.DataFrame({"who": ["secret-value"], "district": ["x"]}).write_parquet(release / "data.parquet")
    (release / "certificate.json").write_text(json.dumps(CERTIFICATE))
    pl.DataFrame({"code": [1, 2]}).write_parquet(own / "data.parquet")
    monkeypatch.setenv("SHUZHA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SHUZHA_PLATFORM_SOCKET", str(tmp_path / "p.sock"))
    monkeypatch.delenv("SHUZHA_OUTBOX", raising=False)
    found = SlowPlatform(tmp_path / "p.sock")
    yield found
    found.close()


@pytest.fixture
def workbench(platform: SlowPlatform) -> Iterator[ModuleType]:
    with imported_workbench() as found:
        yield found


def page_of(shown: Any) -> str:
    """Return an answer's HTML, held to be well-formed and to run nothing."""
    page = str(shown._repr_html_())
    ET.fromstring(f"<div>{page.replace('<br>', '<br/>')}</div>")
    assert "<script" not in page
    return page


def test_datasets_show_columns_their_meaning_and_what_was_done_and_no_value(workbench: ModuleType) -> None:
    found = workbench.datasets()
    page = page_of(found)
    for said in (
        "社保",
        "1,234",
        "文本 text",
        "人 · Person",
        "替换为假名。",
        "Becomes a pseudonym.",
        "自带参考文件 own file",
    ):
        assert said in page, said
    assert "raw version 7" in page
    assert "k = 3" in page
    assert "secret-value" not in page + repr(found)
    assert [one.name for one in found] == found._ipython_key_completions_() == ["insurance", "codes"]
    assert found["codes"]["kind"] == "own"
    assert found["insurance"].load().collect().height == 1
    assert found["codes"].describe() == [{"name": "code", "type": "整数 integer", "title": "", "done": ""}]
    with pytest.raises(workbench.WorkbenchError, match="accepted: insurance, codes"):
        found["residents"]


def test_budget_is_shown_as_bars_and_warns_in_words(workbench: ModuleType) -> None:
    page = page_of(workbench.budget())
    assert "3 天 days · 即将到期 ends soon" in page
    assert "900 B / 1000 B" in page
    assert page.count('role="meter"') == 2
    assert "epsilon 0.25 / 1" in page


def test_status_names_states_in_both_languages(workbench: ModuleType) -> None:
    page = page_of(workbench.status())
    assert "已打开 open" in page
    assert "退回修改 returned" in page
    assert "too &lt;small&gt;" in page


def test_check_says_the_rule_and_how_to_mend_it(workbench: ModuleType) -> None:
    found = workbench.check(workbench.table("insurance", rows=["district"]))
    page = page_of(found)
    assert not found.passed
    assert "每格至少 N 个主体" in page
    assert ".apply(&quot;suppress&quot;)" in page
    assert "→ .apply" in repr(found)
    asked = workbench.table("insurance", rows=["district"], repair="suppress").specification
    assert not any(
        "suppress" in one for one in workbench.calls.Findings("", ANSWERS["check"] | {"repairs": []}, asked).repairs
    )
    with pytest.raises(workbench.WorkbenchError, match="table, regression, figure or verification"):
        workbench.check("insurance")


def test_request_says_what_happens_next_and_waits_until_screened(
    workbench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "洁净室" in page_of(workbench.submit("a.ipynb"))
    monkeypatch.setattr("workbench.calls._POLL_SECONDS", 0.01)
    assert workbench.submit("a.ipynb", wait=5)["state"] == "returned", "followed by status until it moved"
    with pytest.raises(workbench.WorkbenchError, match=r"name\.ipynb"):
        workbench.submit("a.py")


def test_declarations_and_specifications_read_as_sentences(workbench: ModuleType) -> None:
    table = workbench.table("insurance", rows=["district"], where=[("who", "!=", EVIL)], repair="suppress")
    claim = workbench.claim("insured", EVIL, [("district", "==", "x")])
    pages = [
        page_of(table), page_of(workbench.verification("insurance", subject=["who"], claims=[claim])),
        *(page_of(workbench.export(f"one_{kind}", obj, context=EVIL)) for kind, obj in (("t", table), ("f", b"x"))),
    ]  # fmt: skip
    assert "隐去小格 suppress" in pages[0]
    assert "district == x" in pages[1]
    assert "workbench.check" in pages[2]
    assert "people judge it" in pages[3]


def test_a_repair_that_was_tried_is_applied_by_one_call(workbench: ModuleType) -> None:
    table = workbench.table("insurance", rows=["district"])
    found = workbench.check(table)
    assert "隐去小格及保护它们的格子：留 28 格，隐 2 格" in page_of(found)
    assert found.apply("suppress") == workbench.table("insurance", rows=["district"], repair="suppress")
    with pytest.raises(workbench.WorkbenchError, match="cannot repair by 'merge'"):
        found.apply("merge")


@pytest.mark.parametrize("kind", ["bar", "line"])
def test_figure_is_drawn_with_a_title_and_a_word_for_each_mark(workbench: ModuleType, kind: str) -> None:
    page = page_of(workbench.plot("insurance", rows=["district"], columns=["who"], kind=kind))
    assert 'role="img"' in page
    assert "<title>x · secret-value: 1</title>" in page, "a figure of the analyst's own query, as any result is"
    assert "drawn anew by the platform" in page


def test_figure_of_too_many_places_is_refused(workbench: ModuleType) -> None:
    frame = pl.DataFrame({"place": list(range(100)), "count": list(range(100))})
    with pytest.raises(workbench.WorkbenchError, match="at most 60 places"):
        workbench.figures.draw(frame, "bar", "t")


def test_error_is_thing_rule_and_accepted_without_a_traceback(workbench: ModuleType) -> None:
    with pytest.raises(workbench.WorkbenchError) as caught:
        workbench.dp.count("insurance", epsilon=0.1)
    assert (caught.value.message, caught.value.rule, caught.value.accepted) == ("no budget", "dp.budget", "a budget")
    lines = caught.value._render_traceback_()
    assert len(lines) == 3
    assert "规则 rule: dp.budget" in lines[1]


def test_long_verb_says_that_it_works_and_then_takes_the_line_back(
    workbench: ModuleType, platform: SlowPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, line: Any) -> None:
            shown.append(line._repr_html_())

    def display(line: Any, *, display_id: bool) -> Handle:
        shown.append(line._repr_html_())
        return Handle()

    monkeypatch.setattr("workbench.progress._QUIET_SECONDS", 0.0)
    monkeypatch.setattr("workbench.connection._TICK_SECONDS", 0.05)
    monkeypatch.setattr("workbench.progress.find_display", lambda: display)
    platform.delay = 0.3
    workbench.status()
    assert "the platform works" in shown[0]
    assert shown[-1] == ""


def test_kernel_gets_installers_that_refuse_names_at_a_tab_and_a_word_below_a_failed_import(
    workbench: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    class Shell:
        def __init__(self) -> None:
            self.magics: dict[str, Any] = {}
            self.hooks: list[tuple[str, Any]] = []
            self.events = self
            self.after: dict[str, Any] = {}

        def register(self, event: str, function: Any) -> None:
            self.after[event] = function

        def register_magic_function(self, function: Any, *, magic_kind: str, magic_name: str) -> None:
            self.magics[magic_name] = function

        def set_hook(self, name: str, function: Any, *, re_key: str) -> None:
            self.hooks.append((re_key, function))

    shell = Shell()
    workbench.load_ipython_extension(shell)

    def offered(line: str) -> list[str]:
        event = SimpleNamespace(text_until_cursor=line)
        return [name for key, hook in shell.hooks if re.match(key, line) for name in hook(shell, event)]

    assert offered('workbench.load("in') == ["insurance"]
    assert offered("workbench.load('") == ["codes", "insurance"]
    assert offered('t = workbench.table("insurance", rows=["d') == ["district"]
    assert offered('workbench.plot("insurance", rows=["district"], columns=["') == ["who", "district"]
    assert offered('print("in') == []
    assert "load" in dir(workbench)
    assert "connection" not in dir(workbench)
    with pytest.raises(workbench.WorkbenchError, match="Ask the authority"):
        shell.magics["pip"]("install pandas")
    for error in (None, ValueError("no"), ModuleNotFoundError("no", name="pandas.core")):
        shell.after["post_run_cell"](SimpleNamespace(error_in_exec=error))
    assert capsys.readouterr().err.count("pandas is not installed here") == 1


def test_installers_say_where_to_ask(workbench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        workbench.packages.__globals__["refuse"]()
    assert ended.value.code == 1
    assert "主管部门" in capsys.readouterr().err
    found = {one["name"]: one for one in workbench.packages()}
    assert found["polars"]["licence"]
    page_of(workbench.packages())


def test_words_cover_every_rule_and_state(workbench: ModuleType) -> None:
    words = workbench.calls.__dict__["EXPORT_STATES"]
    assert set(words) == {state.value for state in ExportState}
    from workbench.words import RULES, WORKSPACE_STATES

    assert set(RULES) == {note.rule for note in NOTES}
    assert set(WORKSPACE_STATES) == {state.value for state in WorkspaceState}


def test_public_verbs_have_a_docstring_with_an_example_that_parses(workbench: ModuleType) -> None:
    verbs = [getattr(workbench, name) for name in dir(workbench) if name[0].islower() and name != "dp"]
    verbs += [getattr(workbench.dp, name) for name in ("count", "sum", "mean", "histogram", "quantile")]
    for verb in verbs:
        examples = re.findall(r"Example: `(.+?)`\n", f"{verb.__doc__}\n", flags=re.DOTALL)
        assert len(examples) == 1, verb.__name__
        ast.parse(examples[0])
        assert f"workbench.{'dp.' if verb.__module__ == 'workbench.dp' else ''}{verb.__name__}(" in examples[0]


def test_reference_page_says_what_the_library_says(workbench: ModuleType) -> None:
    assert PAGE.read_text("utf-8").partition(MADE)[2].strip() == render_reference(workbench).strip()


def test_panel_is_plain_text_of_our_own(workbench: ModuleType) -> None:
    package = json.loads((FOLDER / "panel" / "package.json").read_text())
    build = package["jupyterlab"]["_build"]
    code = (FOLDER / "panel" / build["load"].partition("?")[0]).read_text()
    assert build["load"].endswith(f"?v={package['version']}"), "a new version is fetched anew by browsers"
    assert max(map(len, code.splitlines())) < 200, "written by hand, not made by a build"
    assert f"const NAME = '{package['name']}'" in code
    assert "innerHTML" not in code
    assert "eval(" not in code
    assert set(re.findall(r"(\w+): \['[^']+', '[^']+', '", code)) == {state.value for state in ExportState}
