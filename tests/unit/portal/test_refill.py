"""Who is refused does not type again: every form of every page comes back with what was posted."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shuzha.portal.refill import keep_typed
from tests.unit.portal.conftest import post

FORM = """<details class="folded"><summary>s</summary>
<form method="post" action="/here?x=1"><input type="hidden" name="csrf" value="token">
<input name="title" value="old" required>
<input type="password" name="secret" value=""><input type="checkbox" name="kinds" value="a" checked>
<input type="checkbox" name="kinds" value="b"><select name="mode"><option value="">—</option>
<option value="x" selected>x</option><option value="y">y</option></select>
<textarea name="text">before &amp; after</textarea><input name="line" value=""><input name="line" value="">
</form></details><form method="post" action="/there"><input name="title" value="other"></form>"""


class Fields(HTMLParser):
    """What each post form of a page would send if it were sent as it stands, but for hidden fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, list[tuple[str, str, str]]]] = []
        self._select = self._area = ""
        self._said: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):  # type: ignore[no-untyped-def]
        found = dict(attrs)
        name, kind = found.get("name") or "", found.get("type") or "text"
        if tag == "form":
            self.forms.append((found["action"], []) if found.get("method") == "post" else ("", []))
        elif tag == "input" and self.forms and kind in ("checkbox", "radio"):
            self.forms[-1][1].append((kind, name, found.get("value") or "on" if "checked" in found else ""))
        elif tag == "input" and self.forms and kind != "hidden":
            self.forms[-1][1].append((kind, name, found.get("value") or ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in found and self.forms:
            self.forms[-1][1].append(("select", self._select, found.get("value") or ""))
        elif tag == "textarea":
            self._area, self._said = name, []

    def handle_data(self, data: str) -> None:
        if self._area:
            self._said.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.forms[-1][1].append(("area", self._area, "".join(self._said).removeprefix("\n")))
            self._area = ""


TYPED = {"csrf": ["evil"], "title": ['a "new" <title>'], "secret": ["s3cret"], "kinds": ["b"], "mode": ["y"],
         "text": ["\nfirst\n</textarea><script>"], "line": ["one", "two"]}  # fmt: skip


def test_a_form_is_filled_with_what_was_posted_and_nothing_else_changes() -> None:
    kept = keep_typed(FORM, "/here", TYPED)
    assert '<details class="folded" open>' in kept
    assert "evil" not in kept
    assert "s3cret" not in kept
    assert "<script>" not in kept
    (_, here), (_, there) = Fields(kept).forms
    assert here == [
        ("text", "title", 'a "new" <title>'), ("password", "secret", ""), ("checkbox", "kinds", ""),
        ("checkbox", "kinds", "b"), ("select", "mode", "y"), ("area", "text", "\nfirst\n</textarea><script>"),
        ("text", "line", "one"), ("text", "line", "two"),
    ]  # fmt: skip
    assert there == [("text", "title", "other")]
    assert keep_typed(FORM, "/elsewhere", TYPED) == FORM


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_any_text_comes_back_as_it_was(text: str) -> None:
    kept = keep_typed(FORM, "/here", {"title": [text], "text": [text]})
    fields = {name: value for _, name, value in Fields(kept).forms[0][1]}
    assert (fields["title"], fields["text"]) == (text, text)


POSTS = {
    "announcement": ("authority", "/announcements", {"opens": "2020-01-01", "closes": "2020-02-01", "pass_score": "77",
                     "experts": "3", "notice_days": "4", "mode": "individual", "criteria": "all: 100"}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(POSTS))
def test_a_refused_form_of_a_running_portal_comes_back_filled(sign_in, name: str) -> None:  # type: ignore[no-untyped-def]
    login, path, form = POSTS[name]
    client = sign_in(login)
    texts = {"title": "年度公告 & more", "plan": "泉政发 12", "conditions": "one\ntwo", "field": "health"}
    answer = post(client, path, **texts, **form)
    assert answer.status_code == 422
    fields = [
        (field, value) for action, found in Fields(answer.text).forms if action == path for _, field, value in found
    ]
    assert {*texts.items(), ("pass_score", "77"), ("mode", "individual"), ("criteria", "all: 100")} <= set(fields)
    assert ("evidence", "operation") not in fields, "what was unticked stays unticked"
