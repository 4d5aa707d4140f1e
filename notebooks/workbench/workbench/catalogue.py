"""What is granted: each table with its columns, what they hold, and what desensitization did to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import polars as pl

from workbench import page
from workbench.connection import ask
from workbench.data import OWN, find_folders, load, scan
from workbench.errors import WorkbenchError
from workbench.page import Markup
from workbench.place import data_folder, platform_socket
from workbench.words import type_word

_CERTIFICATE = "certificate.json"
_SYNTHETIC = "shuzha synthetic release certificate"
_KINDS = {
    "release": "授权数据 release", "synthetic": "合成数据 synthetic", "own": "自带参考文件 own file",
}  # fmt: skip


class Dataset(dict[str, Any]):
    """One table: `name`, `kind` (release, synthetic or own), `columns`, `rows`, and what its certificate says.

    It is a plain dict to a program; look at it in a notebook to read its columns.
    """

    @property
    def name(self) -> str:
        """What `load` takes."""
        return str(self["name"])

    @property
    def columns(self) -> list[str]:
        """The names of its columns."""
        return list(self["columns"])

    @property
    def title(self) -> str:
        """Its title in the catalogue, Chinese and English; its name where it has none."""
        return _both(self.get("title")) or self.name

    def load(self) -> pl.LazyFrame:
        """Return it as a lazy frame."""
        return load(self.name)

    def describe(self) -> list[dict[str, str]]:
        """Return its columns: `name`, `type`, `title`, and `done`, what desensitization did to each."""
        folder = find_folders().get(self.name)
        schema: Mapping[str, Any] = {} if folder is None else scan(folder).collect_schema()
        done = _certificate(folder).get("desensitization", {}).get("done") or {}
        sentences = done.get("sentences") or {}
        titles = {one["name"]: _both(one.get("title")) for one in self.get("elements", ())}
        return [
            {
                "name": name,
                "type": type_word(schema[name]) if name in schema else "",
                "title": titles.get(name, ""),
                "done": "\n".join(dict.fromkeys(sentences.get(tongue, {}).get(name, "") for tongue in ("zh", "en"))),
            }
            for name in self.columns
        ]

    def __repr__(self) -> str:
        lines = [f"  {one['name']}: {one['type']} {one['title']}".rstrip() for one in self.describe()]
        return "\n".join([f"{self.name} ({_KINDS.get(self.get('kind', ''), '')}), {self._counted()}", *lines])

    def _repr_html_(self) -> str:
        return page.join([self._heading(), self._body()])

    def _heading(self, wrap: str = "p") -> Markup:
        kind = page.label(_KINDS.get(self.get("kind", "release"), ""))
        return page.heading(page.join([self.title, " ", page.tag("code", self.name)]), kind, self._counted(), wrap=wrap)

    def _body(self) -> Markup:
        columns = self.describe()
        heads = ["字段 column", "类型 type", "含义 meaning", "脱敏处理 what was done"]
        keys = ("name", "type", "title", "done")
        kept = [at for at, key in enumerate(keys) if any(one[key] for one in columns)]
        rows = [
            (page.tag("code", one["name"]), one["type"], one["title"], _lines(one["done"]))
            for one in columns
        ]  # fmt: skip
        table = page.table([heads[at] for at in kept], [[row[at] for at in kept] for row in rows])
        how = page.quiet("读取 load: ", page.tag("code", f'workbench.load("{self.name}")'))
        abstract = page.tag("p", self["abstract"]) if self.get("abstract") else Markup()
        notice = page.tag("p", page.label("注意 note", "warn"), " ", self["notice"]) if self.get("notice") else Markup()
        return page.join([abstract, notice, table, self._promise(), how])

    def _promise(self) -> Markup:
        """Return what the certificate measured, in a line; nothing for an own file."""
        certificate = _certificate(find_folders().get(self.name))
        if not certificate:
            return Markup()
        source = certificate.get("source") or {}
        done = (certificate.get("desensitization", {}).get("done") or {}).get("anonymized") or {}
        said = [f"原始数据版本 raw version {source['raw_version']}"] if "raw_version" in source else []
        said += [f"k = {done['k']}，已隐去 suppressed {done['suppressed']:,} 行 rows"] if "k" in done else []
        said += [f"级别 grade {source['grade']}"] if "grade" in source else []
        return page.quiet(" · ".join(said))

    def _counted(self) -> str:
        rows = self.get("rows")
        counted = "" if rows is None else f"{rows:,} 行 rows · "
        return f"{counted}{len(self.columns)} 列 columns"


class Datasets(Sequence[Dataset]):
    """All that is granted here, in order; index it by place or by name."""

    def __init__(self, found: Sequence[Dataset]) -> None:
        self._found = list(found)

    @property
    def data(self) -> list[Dataset]:
        """The tables as a list of plain dicts."""
        return self._found

    @overload
    def __getitem__(self, key: int | str) -> Dataset: ...
    @overload
    def __getitem__(self, key: slice) -> list[Dataset]: ...
    def __getitem__(self, key: int | str | slice) -> Dataset | list[Dataset]:
        """Return the table at a place or of a name; a refusal names those that are granted."""
        if not isinstance(key, str):
            return self._found[key]
        for one in self._found:
            if one.name == key:
                return one
        raise WorkbenchError(
            f"there is no {key!r} here", rule="workspace.release",
            accepted=", ".join(self._ipython_key_completions_()) or "nothing is granted",
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self._found)

    def _ipython_key_completions_(self) -> list[str]:
        return [one.name for one in self._found]

    def __repr__(self) -> str:
        return "\n".join(["已授权数据 · datasets", *(repr(one) for one in self._found)])

    def _repr_html_(self) -> str:
        head = page.heading("已授权数据 · datasets", f"{len(self)}")
        if not self._found:
            return page.join([head, page.quiet("没有已授权的数据 · nothing is granted here")])
        few = len(self) <= 2
        return page.join([head, *(page.unfold(one._heading("span"), one._body(), opened=few) for one in self)])  # noqa: SLF001


def datasets() -> Datasets:
    """Return what is granted here: releases and the unit's own files, each with its columns.

    Example: `workbench.datasets()["social_insurance"]`

    In a clean room, where no platform can be asked, names, columns and types come from the files alone.
    """
    if platform_socket() is not None:
        return Datasets([Dataset(one) for one in ask("datasets")])
    return Datasets([
        Dataset(name=name, kind=_kind(folder), columns=scan(folder).collect_schema().names())
        for name, folder in find_folders().items()
    ])  # fmt: skip


def _kind(folder: Path) -> str:
    if folder.parent == data_folder() / OWN:
        return "own"
    return "synthetic" if _certificate(folder).get("kind") == _SYNTHETIC else "release"


def _certificate(folder: Path | None) -> dict[str, Any]:
    """Return the certificate that lies beside a release; empty where there is none."""
    try:
        found: dict[str, Any] = {} if folder is None else json.loads((folder / _CERTIFICATE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _both(title: Any) -> str:
    if isinstance(title, Mapping):
        return " · ".join(dict.fromkeys(word for word in (title.get("zh"), title.get("en")) if word))
    return str(title or "")


def _lines(said: str) -> Markup:
    lines = said.split("\n")
    return page.join([lines[0], *(page.join([page.BREAK, line]) for line in lines[1:])])
