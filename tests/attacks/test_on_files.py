"""Files that carry more than they show, cost more than they weigh, or are exchanged after they were judged.

Nothing here needs root: notebooks run as scripts, and the platform judges and releases for real.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from airlock_kit import TABLE, AirlockCity

from sandbox.airlock import screening
from sandbox.airlock.content import FileType, Inspection, inspect, inspect_apart
from sandbox.airlock.files import apart
from sandbox.airlock.model import Choice, ExportRequest, ExportState
from sandbox.airlock.vault import Vault
from shuzha.core.errors import Invalid
from shuzha.releases.model import Release

# --- rows -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def city(tmp_path: Path) -> AirlockCity:
    made = AirlockCity(tmp_path)
    made.made = made.ready()
    return made


def cell(name: str, data: bytes) -> str:
    """Return a cell that hands these bytes to the airlock as a file."""
    text = base64.b64encode(zlib.compress(data, 9)).decode()
    unpacked = f"zlib.decompress(base64.b64decode({text!r}))"
    return f"import base64, zlib\nworkbench.export({name!r}, {unpacked}, 'figures for the report')"


def asked(city: AirlockCity, files: dict[str, bytes]) -> ExportRequest:
    _, release = city.ready()
    cells = [cell(name, data) for name, data in files.items()]
    request = city.airlock.submit(city.analyst, city.submission(release, *cells))
    return city.airlock.process(request.id)


def no_gate(data: bytes, *_: Any) -> Inspection:
    """The control: what the notebook made is taken as it is."""
    return Inspection(FileType.CSV, (), data)


def released_rows(city: AirlockCity, release: Release) -> pl.DataFrame:
    return city.airlock._parts.screener.inputs.release(release.id).frame.collect()


def in_every_dress(rows: pl.DataFrame) -> dict[str, bytes]:
    key = pl.col("resident_id").cast(pl.String)
    md5 = pl.Series("k", [hashlib.md5(one.encode()).hexdigest() for one in rows.select(key).to_series().to_list()])
    dresses = {
        "as_it_is": rows,
        "permuted": rows.sample(fraction=1, shuffle=True, seed=1).select(reversed(rows.columns)),
        "without_key": rows.select("base", "kind", "district_code", "paid"),
        "rounded": rows.select(key, (pl.col("base") / 10).round() * 10, "kind"),
        "respelt": rows.select(key.str.to_uppercase(), pl.col("kind").str.to_uppercase(), "base"),
        "in_one_column": rows.select(x=pl.concat_str([key, "base"], separator=";")),
        "hashed": rows.select("base").with_columns(md5),
    }
    return {name: one.write_csv().encode() for name, one in dresses.items()}


@pytest.mark.attack(
    what="a release's rows as they are, permuted, without the key, rounded, respelt, in one column, hashed",
    route="files of a notebook", layer="file gate", control="with the gate off the same request reaches its reviewers",
)  # fmt: skip
def test_rows_of_a_release_leave_in_no_dress(city: AirlockCity, monkeypatch: pytest.MonkeyPatch) -> None:
    files = in_every_dress(released_rows(city, city.ready()[1]).head(120))
    held = asked(city, files)
    assert held.state is ExportState.RETURNED
    found = {finding.file for finding in held.findings if finding.rule == "row_overlap" and finding.severity == "block"}
    assert found == set(files)
    monkeypatch.setattr(screening.content, "inspect_apart", no_gate)
    control = asked(city, files)
    assert control.state is ExportState.SCREENED
    assert [city.vault.get(file.sha256) for file in control.files] == list(files.values()), "the control"


# --- hidden channels ------------------------------------------------------------------------------------------------

FIGURES = "district,n,share\na,10,0.25\nb,20,0.5\nc,30,0.75\n"


def picture(colour: int, *, alpha: int = 255, text: bytes = b"") -> bytes:
    """Return a small picture of one colour with a word beside it."""
    line = b"\x00" + bytes((colour, colour, colour, alpha)) * 8
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(line * 8)),
        (b"IEND", b""),
    ]
    if text:
        chunks.insert(1, (b"tEXt", text))
    made = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def parquet(**options: Any) -> bytes:
    buffer = io.BytesIO()
    pl.read_csv(FIGURES.encode()).write_parquet(buffer, **options)
    return buffer.getvalue()


def drawn(inside: str) -> bytes:
    return f"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>{inside}<path d='M0 0L1 1'/></svg>".encode()


def notebook(**more: Any) -> bytes:
    one = {"cell_type": "code", "source": "x = 1", "metadata": {}, "outputs": [], "execution_count": None} | more
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [one]}).encode()


CHANNELS: dict[str, tuple[bytes, bytes]] = {
    "order of rows": (FIGURES.encode(), b"district,n,share\nc,30,0.75\na,10,0.25\nb,20,0.5\n"),
    "last digits": (FIGURES.encode(), FIGURES.replace("0.25", "0.250000001").encode()),
    "how a number is written": (FIGURES.encode(), FIGURES.replace("0.5\n", "5.0e-1\n").replace("20", "+20").encode()),
    "blanks": (FIGURES.encode(), FIGURES.replace("a,", "a  ,").encode()),
    "characters without width": (FIGURES.encode(), FIGURES.replace("b,", "b\u200b\u2060,").encode()),
    "variants of one character": ("p\n\u00e9\n".encode(), "p\ne\u0301\n".encode()),
    "quotes and ends of lines": (FIGURES.encode(), FIGURES.replace("a,", '"a",').replace("\n", "\r\n").encode()),
    "metadata of Parquet": (parquet(), parquet(metadata={"secret": "1"})),
    "layout of Parquet": (parquet(), parquet(row_group_size=1, statistics=True, compression="snappy")),
    "order of keys": (b'{"a":1,"b":2}', b'{"b":2,  "a":1}'),
    "low bits of pixels": (picture(200), picture(201)),
    "colours under no opacity": (picture(200, alpha=0), picture(10, alpha=0)),
    "text beside pixels": (picture(200), picture(200, text=b"secret")),
    "comments and names in a drawing": (drawn("<g id='a'/>"), drawn("<!-- 1 --><g id='b'/>")),
    "what a drawing does not show": (drawn(""), drawn("<metadata>1</metadata><g display='none'/>")),
    "outputs of a notebook": (notebook(), notebook(outputs=[{"text": "secret"}], execution_count=3)),
}


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.attack(
    what="a message in the order of rows, last digits, spelling, blanks, unseen characters, quotes, metadata, layout,"
    " low bits and clear pixels, comments, names, hidden parts, outputs",
    route="files of a notebook", layer="file gate", control="the two files, which differ by the message alone, differ",
)  # fmt: skip
def test_a_hidden_message_is_gone_from_what_leaves(channel: str) -> None:
    one, other = CHANNELS[channel]
    left, right = inspect(one).content, inspect(other).content
    assert left is not None
    assert left == right
    assert one != other, "the control"


# --- bombs ----------------------------------------------------------------------------------------------------------


def png_bomb() -> bytes:
    made = picture(0)
    body = zlib.compress(bytes(60 * 1024**2), 9)
    start = made.index(b"IDAT") - 4
    return (
        made[:start]
        + struct.pack(">I", len(body))
        + b"IDAT"
        + body
        + struct.pack(">I", zlib.crc32(b"IDAT" + body))
        + made[-12:]
    )


def parquet_bomb() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"a": ["x" * 900] * 200_000}).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


LAUGHS = (
    "<!DOCTYPE svg [<!ENTITY a 'ha'><!ENTITY b '" + "&a;" * 50 + "'><!ENTITY c '" + "&b;" * 50 + "'>]>"
    "<svg xmlns='http://www.w3.org/2000/svg'><text>&c;</text></svg>"
).encode()

BOMBS: dict[str, tuple[bytes, Callable[[bytes], int]]] = {
    "PNG": (png_bomb(), lambda data: len(zlib.decompress(data[data.index(b"IDAT") + 4 : -16]))),
    "Parquet": (parquet_bomb(), lambda data: int(pl.read_parquet(data)["a"].str.len_bytes().sum())),
    "one line": (b"a\n" + b"x" * 4_000_000, lambda data: int(pl.read_csv(data)["a"].str.len_bytes().max() or 0)),  # type: ignore[arg-type]
    "brackets": (b"[" * 900 + b"]" * 900, lambda data: len(json.dumps(json.loads(data)))),
    "entities": (LAUGHS, lambda data: len("".join(ET.fromstring(data.decode()).itertext()))),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.attack(
    what="a PNG and a Parquet file that inflate, a line of megabytes, nested brackets, entities of entities",
    route="files of a notebook", layer="file gate", control="a plain parser of the same bytes unpacks them whole",
)  # fmt: skip
def test_a_bomb_is_refused_before_it_goes_off(bomb: str) -> None:
    data, plain = BOMBS[bomb]
    found = inspect_apart(data)
    assert found.content is None
    assert {finding.rule for finding in found.findings} <= {"file_type", "file_size"}
    assert plain(data) > 1_500, "the control"


# --- code -----------------------------------------------------------------------------------------------------------


class Planted:
    """Makes a folder wherever it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.attack(
    what="a pickle that runs when it is loaded, of the oldest, the common and the newest protocol",
    route="files of a notebook", layer="file gate", control="whoever loads the same bytes runs it",
)  # fmt: skip
def test_a_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    data = pickle.dumps(Planted(str(mark)), protocol=protocol)
    assert inspect(data).content is None
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists(), "the control"


TRY_OUT = """
import json, os, socket, sys
def tried(what):
    try:
        what()
    except BaseException:
        return False
    return True
told = {
    "a secret": tried(lambda: open(sys.argv[1]).read()),
    "a mark": tried(lambda: open(sys.argv[2], "w").write("x")),
    "a service": tried(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])), 2)),
    "the accounts": tried(lambda: open("/etc/passwd").read()),
    "a variable": "SECRET" in os.environ,
}
print(json.dumps(told))
"""


@pytest.mark.skipif(not apart.can_jail(), reason="bubblewrap can make no jail here: the reader has its caps alone")
@pytest.mark.attack(
    what="files of the platform, a file to write, the host's loopback, variables", route="a parser of files that was"
    " talked into running code", layer="file gate", control="the same code beside the reader's jail",
)  # fmt: skip
def test_a_reader_that_was_taken_over_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    monkeypatch.setenv("SECRET", "secret")
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = str(service.getsockname()[1])
        arguments = [sys.executable, "-c", TRY_OUT, str(secret), str(tmp_path / "mark"), port]

        def told(command: list[str], **more: Any) -> dict[str, bool]:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, **more)
            made: dict[str, bool] = json.loads(done.stdout)
            return made

        assert not any(told([*apart._jail(None), *arguments], env=apart._variables()).values())
        assert all(told(arguments).values()), "the control"


# --- exchanged after judgement --------------------------------------------------------------------------------------


class TrustingVault(Vault):
    """Gives whatever lies at an address."""

    def get(self, address: str) -> bytes:
        return self._path(address).read_bytes()


@pytest.mark.parametrize("when", ["before the votes", "after approval"])
@pytest.mark.attack(
    what="another file at the place of the one that was judged, before the votes and after approval",
    route="the vault's folder", layer="vault", control="a vault that looks at no hash gives the other file",
)  # fmt: skip
def test_a_file_exchanged_after_it_was_judged_does_not_leave(city: AirlockCity, when: str) -> None:
    _, release = city.ready()
    state = ExportState.SCREENED if when == "before the votes" else ExportState.APPROVED
    request = city.request_at(state, release, TABLE)
    (file,) = request.files
    path = city.vault._path(file.sha256)
    path.chmod(0o600)
    path.write_bytes(b"resident_id,base\n1,2\n")
    if state is ExportState.SCREENED:
        with pytest.raises(Invalid, match="changed"):
            city.airlock.read_file(city.checker, request.id, file.name)
        city.airlock.vote(city.checker, request.id, Choice.APPROVE, "counts are large")
        city.airlock.vote(city.second, request.id, Choice.APPROVE, "I looked at each cell")
    with pytest.raises(Invalid, match="changed"):
        city.airlock.finish(request.id)
    assert city.airlock.get_export(city.analyst, request.id).state is ExportState.APPROVED
    held = TrustingVault(city.vault._folder)
    assert held.get(file.sha256) == b"resident_id,base\n1,2\n", "the control"
