"""A refused form keeps what was typed: whatever page is shown again, its form is filled with what was posted.

This is done to the page's HTML, so that no form has to think of it. Passwords and files are never put
back, nor what stands in a field marked `data-once`, such as an identity number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from itertools import accumulate
from urllib.parse import urlsplit

Typed = Mapping[str, Sequence[str]]
_LEFT_ALONE = frozenset({"hidden", "password", "file", "submit", "button", "image", "reset"})
_PRESSED = frozenset({"hidden", "submit", "button", "image", "reset"})
_TICKED = frozenset({"checkbox", "radio"})


@dataclass(frozen=True, slots=True)
class Mark:
    """What is wrong with a field: its name, the sentence beside it, and which one of several fields of that name.

    `listed` says the sentence on top of the page too; a refusal of the whole form stands there already.
    """

    name: str
    said: str
    number: int = 0
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Filled:
    """A page filled again; `found` says whether the form that was posted stands on it."""

    html: str
    found: bool


def keep_typed(html: str, path: str, typed: Typed) -> str:
    """Return the page with the fields of its forms that are posted to `path` as they were sent.

    Fields of one name take the values in order. A fold (`details`) round such a form is opened.
    """
    return fill_again(html, path, typed).html


def fill_again(html: str, path: str, typed: Typed, marks: Sequence[Mark] = (), again: str = "") -> Filled:
    """Return the page as `keep_typed` does, with what is wrong beside each marked field and linked from the top.

    `again` is what a field for a file says: the browser does not send it twice, so it has to be chosen again.
    """
    filler = _Filler(html, path, typed, marks, again)
    filler.feed(html)
    filler.close()
    return Filled(filler.result(), filler.found)


class _Filler(HTMLParser):
    def __init__(self, html: str, path: str, typed: Typed, marks: Sequence[Mark], again: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found = False
        self._html, self._path, self._typed, self._again = html, path, typed, again
        self._lines = [0, *accumulate(len(line) + 1 for line in html.split("\n"))]
        self._edits: list[tuple[int, int, str]] = []
        self._taken: Counter[str] = Counter()
        self._folds: list[tuple[int, int]] = []
        self._inside = False
        self._select = ""
        self._area: tuple[int, str] | None = None
        self._notes = _Notes(marks)

    def result(self) -> str:
        """Return the page with all changes made."""
        self._edits += self._notes.summary()
        return "".join(self._parts())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "details":
            self._folds.append(self._span())
        elif tag == "form":
            action = urlsplit(found.get("action") or self._path).path
            self._inside = (found.get("method") or "").lower() == "post" and action == self._path
            if self._inside:
                self.found = True
                self._open_folds()
        elif self._inside:
            self._notes.meet(tag, found, self._offset())
            self._fill(tag, found)
        elif tag == "div" and found.get("class") == "errors":
            self._notes.expect_list()

    def handle_data(self, data: str) -> None:
        self._notes.hear(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "details" and self._folds:
            self._folds.pop()
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area is not None:
            start, value = self._area
            # A browser drops a line break right behind the tag: one more, so that it is not the one that was typed.
            self._edits.append((start, self._offset(), escape(f"\n{value}" if value.startswith("\n") else value)))
            self._area = None
        self._edits += self._notes.leave(tag, self._offset())

    def _fill(self, tag: str, found: dict[str, str | None]) -> None:
        name, kind = found.get("name") or "", (found.get("type") or "text").lower()
        if tag == "input" and kind in _TICKED and name:
            self._edits += self._notes.beside_ticks(name)
            self._mark(tag, found, "checked", holds=(found.get("value") or "on") in self._typed.get(name, ()))
        elif tag == "input" and kind not in _PRESSED:
            self._fill_input(name, kind, found)
        elif tag == "select":
            self._select = name
            if said := self._notes.attributes(name, 0, found.get("id")):
                self._rewrite(tag, _joined(found, said))
        elif tag == "option" and self._select in self._typed:
            self._mark(tag, found, "selected", holds=(found.get("value") or "") in self._typed[self._select])
        elif tag == "textarea":
            self._fill_area(name, found)

    def _fill_input(self, name: str, kind: str, found: dict[str, str | None]) -> None:
        said = self._notes.attributes(name, self._taken[name], found.get("id"))
        changed = _joined(found, said)
        if kind not in _LEFT_ALONE and "data-once" not in found and (value := self._next(name)) is not None:
            changed["value"] = value
        if changed != found:
            self._rewrite("input", changed)
        end = self._span()[1]
        if kind == "file" and self._again:
            self._edits.append((end, end, f'<small class="again">{escape(self._again)}</small>'))
        self._edits += self._notes.behind(end)

    def _fill_area(self, name: str, found: dict[str, str | None]) -> None:
        if said := self._notes.attributes(name, self._taken[name], found.get("id")):
            self._rewrite("textarea", _joined(found, said))
        if (value := self._next(name)) is not None:
            self._area = self._span()[1], value

    def _next(self, name: str) -> str | None:
        values = self._typed.get(name, ())
        number = self._taken[name]
        self._taken[name] += 1
        return values[number] if number < len(values) else None

    def _mark(self, tag: str, found: dict[str, str | None], mark: str, *, holds: bool) -> None:
        kept = {name: value for name, value in found.items() if name != mark}
        self._rewrite(tag, {**kept, mark: None} if holds else kept)

    def _open_folds(self) -> None:
        for start, end in self._folds:
            if "open" not in self._html[start:end].split():
                self._edits.append((end - 1, end - 1, " open"))
        self._folds = []

    def _rewrite(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        pairs = attributes.items()
        said = "".join(f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in pairs)
        self._edits.append((*self._span(), f"<{tag}{said}>"))

    def _span(self) -> tuple[int, int]:
        start = self._offset()
        return start, start + len(self.get_starttag_text() or "")

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _parts(self) -> Iterator[str]:
        at = 0
        for start, end, text in sorted(self._edits):
            yield self._html[at:start]
            yield text
            at = end
        yield self._html[at:]


class _Notes:
    """What is wrong, written beside each marked field of the form that was posted, and once more on top."""

    def __init__(self, marks: Sequence[Mark]) -> None:
        self._open = {(mark.name, mark.number): mark for mark in marks}
        self._due: tuple[str, str] | None = None  # The id of a note, and its text, until its field's tag is closed.
        self._places: list[tuple[Mark, str]] = []
        self._labels: dict[str, str] = {}
        self._label: str | None = None  # Whose label is being read: an element's by its id, a group's legend as "".
        self._label_at = 0
        self._aside = False
        self._list: int | None = None
        self._expected = False

    def meet(self, tag: str, found: Mapping[str, str | None], at: int) -> None:
        """Remember whose label is being read, and where it began."""
        if tag == "label":
            self._label, self._label_at, self._aside = found.get("for"), at, False
        elif tag == "legend":
            self._label, self._labels[""] = "", ""
        elif tag == "small":
            self._aside = True
        elif found.get("id") and found.get("aria-label"):
            self._labels[str(found["id"])] = str(found["aria-label"])

    def hear(self, data: str) -> None:
        """Add to the label that is being read; its hint is none of it."""
        if self._label is not None and not self._aside:
            self._labels[self._label] = f"{self._labels.get(self._label, '')}{data}".strip()

    def attributes(self, name: str, number: int, identifier: str | None) -> dict[str, str]:
        """Return what a field's tag says of the mark that is on it; nothing where none is."""
        mark = self._open.pop((name, number), None)
        if mark is None:
            return {}
        note = f"e-{name}-{number}"
        self._due = note, mark.said
        self._places.append((mark, identifier or note))
        return {"aria-invalid": "true", "aria-describedby": note}

    def behind(self, at: int) -> Iterator[tuple[int, int, str]]:
        """Give the note that is due, to be written at this place."""
        if self._due is not None:
            yield at, at, _note(*self._due)
            self._due = None

    def beside_ticks(self, name: str) -> Iterator[tuple[int, int, str]]:
        """Give the note on a group of ticks, before the label of its first."""
        mark = self._open.pop((name, 0), None)
        if mark is not None:
            note = f"e-{name}-0"
            self._labels[note] = self._labels.get("", "")
            self._places.append((mark, note))
            yield self._label_at, self._label_at, _note(note, mark.said)

    def expect_list(self) -> None:
        """Take the next list for that on top of the page."""
        self._expected = self._list is None

    def leave(self, tag: str, at: int) -> Iterator[tuple[int, int, str]]:
        """Note that an element ends; gives the note of a field that is more than one tag."""
        if tag in ("label", "legend"):
            self._label = None
        elif tag == "small":
            self._aside = False
        elif tag == "ul" and self._expected:
            self._expected, self._list = False, at
        elif tag in ("select", "textarea"):
            yield from self.behind(at + len(f"</{tag}>"))

    def summary(self) -> Iterator[tuple[int, int, str]]:
        """Give what stands on top: a link to each marked field by its label, and what is wrong where that is listed."""
        if self._list is None:
            return
        for mark, identifier in self._places:
            label = self._labels.get(identifier) or mark.said
            said = f": {escape(mark.said)}" if mark.listed and label != mark.said else ""
            yield self._list, self._list, f'<li><a href="#{escape(identifier)}">{escape(label)}</a>{said}</li>'


def _joined(found: Mapping[str, str | None], said: Mapping[str, str]) -> dict[str, str | None]:
    both = " ".join(filter(None, (found.get("aria-describedby"), said.get("aria-describedby"))))
    return {**found, **said, "aria-describedby": both} if said else dict(found)


def _note(identifier: str, said: str) -> str:
    return f'<small class="wrong" id="{escape(identifier)}" tabindex="-1">{escape(said)}</small>'
