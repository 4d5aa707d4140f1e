"""A form that cannot be read comes back on its own page, with what was typed and what is wrong beside each field."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import urlsplit

import pytest

from shuzha.core.errors import Invalid
from shuzha.portal.desk import Desk
from shuzha.portal.refill import Mark, fill_again
from shuzha.portal.refused import SECRETS
from tests.portal_kit import PortalCity
from tests.portal_pages import pages_of
from tests.unit.portal.conftest import ROOT, csrf_of, post
from tests.unit.portal.test_refill import FORM, Fields

NOT_TYPED = ("checkbox", "radio", "select", "hidden", "password", "file")
HIDDEN = r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"'
PAGE = f'<main><div class="errors"><h2>no</h2><ul><li>said</li></ul></div>{FORM}</main>'
DRAFT = {
    "title": "年度公告 & more", "mode": "field", "plan": "plan 12", "conditions": "one\ntwo", "opens": "2026-01-05",
    "closes": "2026-02-01", "criteria": "all: 100", "pass_score": "77", "experts": "3", "notice_days": "4",
    "field": "health",
}  # fmt: skip


def fields_of(html: str, path: str) -> dict[str, str]:
    return {name: value for action, found in Fields(html).forms if action == path for _, name, value in found}


def test_what_is_wrong_stands_beside_each_field_and_on_top() -> None:
    marks = (Mark("text", "A & B"), Mark("line", "second", 1), Mark("kinds", "one at least"), Mark("mode", "which"),
             Mark("secret", "too short", listed=False), Mark("nowhere", "unseen"))  # fmt: skip
    html = PAGE.replace('<input name="title"', '<label for="t">Text<small>hint</small></label><input name="title"')
    html = html.replace('<textarea name="text"', '<label for="a">Words</label><textarea id="a" name="text"')
    filled = fill_again(html, "/here", {"text": ["x"], "line": ["1", "2"]}, marks)
    assert filled.found
    assert '<li><a href="#a">Words</a>: A &amp; B</li>' in filled.html
    assert re.search(r'<textarea[^>]*aria-invalid="true" aria-describedby="e-text-0">x</textarea><small', filled.html)
    assert re.search(r'<input name="line" value="2" aria-invalid[^>]*><small class="wrong" id="e-line-1"', filled.html)
    assert re.search(r'</select><small class="wrong" id="e-mode-0"', filled.html)
    assert filled.html.index('id="e-kinds-0"') < filled.html.index('name="kinds"')
    assert "too short" in filled.html
    assert "unseen" not in filled.html
    assert filled.html.count("<li>") == 1 + 5


def test_a_page_without_the_form_says_so() -> None:
    assert not fill_again(PAGE, "/elsewhere", {"title": ["x"]}).found


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"opens": "soon"}, "opens", "A day is expected"),
        ({"pass_score": "many"}, "pass_score", "A whole number is expected"),
        ({"title": ""}, "title", "This field is empty"),
        ({"criteria": "a: many"}, "criteria", "a criterion cannot be read"),
        ({"mode": "other"}, "mode", ""),
        ({"closes": "2020-01-01"}, "closes", "the window ends before it starts"),
        ({"plan": " "}, "plan", "leaves `plan` empty"),
    ],
)
@pytest.mark.parametrize("referer", ["http://portal.localhost/announcements", ""])
def test_a_form_that_cannot_be_read_comes_back_filled(  # type: ignore[no-untyped-def]
    sign_in, wrong: dict[str, str], field: str, said: str, referer: str
) -> None:
    client = sign_in("authority")
    client.headers["Referer"] = referer
    answer = post(client, "/announcements", **{**DRAFT, **wrong})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")
    shown = fields_of(answer.text, "/announcements")
    assert {name: shown[name] for name in DRAFT if name not in wrong} == {
        name: value for name, value in DRAFT.items() if name not in wrong
    }
    assert 'role="alert"' in answer.text
    if said:
        assert said in answer.text.replace("&#96;", "`")
        assert re.search(rf'<(?:input|textarea)[^>]* name="{field}"[^>]*aria-invalid="true"', answer.text)
    assert client.get("/announcements").text.count('class="wrong"') == 0


def test_no_form_of_the_portal_loses_what_was_typed(  # type: ignore[no-untyped-def]
    sign_in, city: PortalCity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every form of every page is sent in words, and every verb refuses: whatever refuses, the words come back."""
    attempt = Desk.attempt

    def refuse() -> object:
        raise Invalid("refused by the test", rule="test", accepted="nothing")

    monkeypatch.setattr(Desk, "attempt", lambda desk, request, _verb, *rest: attempt(desk, request, refuse, *rest))
    seen, lost = set[str](), []
    for login, paths in pages_of(city).items():
        client = sign_in(login)
        token = csrf_of(client)
        for path in paths:
            client.headers["Referer"] = f"http://portal.localhost{path}"
            page = client.get(path).text
            once = set(re.findall(r'name="([a-z_]+)"[^>]*data-once', page))
            for action, fields in Fields(page).forms:
                kind = re.sub(r"_[0-9a-z]{26}", "", urlsplit(action).path)
                texts = [name for sort, name, _ in fields if name and name not in once and sort not in NOT_TYPED]
                if not action or not texts or kind in seen:
                    continue
                seen.add(kind)
                typed = {name: [f"{name} {at} <&" for at, one in enumerate(texts) if one == name] for name in texts}
                hidden = re.findall(HIDDEN, page.split(f'action="{escape(action)}"')[1].split("</form>")[0])
                answer = client.post(action, data={**dict(hidden), **typed, "csrf": token})
                again = [found for there, found in Fields(answer.text).forms if there == action]
                back = {name: [value for _, one, value in again[0] if one == name] for name in texts} if again else {}
                if answer.status_code < 400 or back != typed or 'role="alert"' not in answer.text:
                    lost.append((login, path, action, answer.status_code))
    assert lost == []
    assert len(seen) > 30


def test_what_was_typed_is_shown_where_its_form_is_gone(sign_in, city: PortalCity) -> None:  # type: ignore[no-untyped-def]
    client = sign_in("operator")
    closed = post(client, f"/announcements/{city.made['announcement.draft']}/applications", security="kept <safe>")
    assert closed.status_code == 422
    assert "kept &lt;safe&gt;" in closed.text
    token = csrf_of(client)
    client.cookies.delete("shuzha_session")
    form = {"csrf": token, "security": "an hour of writing"}
    signed_out = client.post(f"/announcements/{city.made['announcement']}/applications", data=form)
    assert "an hour of writing" in signed_out.text
    foreign = client.post("/announcements", data=form, headers={"Origin": "http://elsewhere.example"})
    assert "an hour of writing" not in foreign.text


def test_nothing_that_is_typed_once_is_shown_outside_its_form() -> None:
    templates = ROOT / "shuzha" / "portal" / "templates"
    tags = [tag for file in templates.glob("*.html") for tag in re.findall(r"ui\.field\(.*?\) }}", file.read_text())]
    once = [tag for tag in tags if 'type="password"' in tag or "data-once" in tag]
    names = {found[1] for tag in once if (found := re.search(r'\), "([a-z_]+)"', tag))}
    assert {"password", "number"} <= names <= SECRETS
