"""Files by content: what is read, what is written in its place, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib

import polars as pl
import pytest

from sandbox.airlock.content import FileType, Limits, check_name, detect, inspect, write_csv
from sandbox.airlock.findings import worst


def png(*extra: tuple[bytes, bytes], tail: bytes = b"", size: int = 1) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(b"\x00\x00")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks) + tail


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, metadata={"hidden": "11010519491231002X"})
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.csv", "a\n1\n")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"a,b\n1,2\n", FileType.CSV),
        (b'{"a": 1}', FileType.JSON),
        (parquet(pl.DataFrame({"a": [1]})), FileType.PARQUET),
        (png(), FileType.PNG),
        (b"", None),
        (b"\x00\x01", None),
        (pickle.dumps({"a": 1}), None),
        (pickle.dumps({"a": 1}, protocol=0), None),
        (archive(), None),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), None),
        (b"%PDF-1.7\n%\xe2\xe3", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", FileType.SVG),
        (b"a,b\n<script>alert(1)</script>,2\n", None),
        (b"a,b\n%PDF-1.4,2\n", None),
        (b"  <html></html>", None),
        (b"MZ\x90\x00", None),
        ("姓名,数\n".encode("gb18030"), None),
    ],
)
def test_detect_goes_by_content(data: bytes, kind: FileType | None) -> None:
    assert detect(data) == kind


@pytest.mark.parametrize(
    "data", [b"", archive(), pickle.dumps([1]), pickle.dumps({"a": [1, 2]}, protocol=0), b"a,b\n1\n", b'a,"b\n1,2\n']
)
def test_inspect_blocks_what_it_cannot_read(data: bytes) -> None:
    found = inspect(data)
    assert found.content is None
    assert worst(found.findings) == "block"


def test_inspect_rewrites_csv_so_that_no_spreadsheet_runs_it() -> None:
    data = b'\xef\xbb\xbfname,"=head",n\r\n"=cmd|\' /C calc\'!A1",@x,-5\r\n+1+1,ok,+3.5\r\n'
    found = inspect(data)
    assert found.content == b"name,'=head,n\n'+1+1,ok,3.5\n'=cmd|' /C calc'!A1,'@x,-5\n"
    assert inspect(found.content).content == found.content
    assert worst(found.findings) == "pass"


def test_inspect_drops_the_metadata_of_parquet() -> None:
    found = inspect(parquet(pl.DataFrame({"a": [1, 2]})))
    assert found.content is not None
    assert b"11010519491231002X" not in found.content
    assert pl.read_parquet(io.BytesIO(found.content)).to_dict(as_series=False) == {"a": [1, 2]}


def test_inspect_refuses_nested_parquet() -> None:
    assert inspect(parquet(pl.DataFrame({"a": [[1, 2]]}))).content is None


def test_inspect_keeps_only_the_image_of_a_png() -> None:
    found = inspect(png((b"tEXt", b"Comment\x0011010519491231002X"), (b"eXIf", b"secret")))
    assert found.content == inspect(png()).content
    assert found.content is not None
    assert inspect(found.content).content == found.content
    assert b"Comment" not in found.content


@pytest.mark.parametrize(
    "data", [png(tail=b"PK\x03\x04"), png()[:-3], png()[:40] + b"\xff" + png()[41:], b"\x89PNG\r\n\x1a\n"]
)
def test_inspect_blocks_a_png_that_is_not_sound(data: bytes) -> None:
    found = inspect(data)
    assert found.content is None
    assert [finding.rule for finding in found.findings] == ["file_type"]


@pytest.mark.parametrize(
    "data",
    [
        "人,数\n13812345678,2\n".encode(),
        b"11010519491231002X,b\n1,2\n",
        json.dumps({"a": {"note": "身份证11010519491231002X"}}).encode(),
        json.dumps([[13812345678]]).encode(),
        parquet(pl.DataFrame({"a": [13812345678]})),
    ],
)
def test_inspect_blocks_identifiers(data: bytes) -> None:
    found = inspect(data)
    assert {finding.rule for finding in found.findings} - {"canonical"} == {"label_pii"}
    assert worst(found.findings) == "block"


def test_inspect_holds_to_the_limits() -> None:
    rows = "a\n" + "1\n" * 11
    for data, limits in (
        (rows.encode(), Limits(rows=10)),
        (parquet(pl.DataFrame({"a": range(11)})), Limits(rows=10)),
        (b"a,b\n1,2\n", Limits(columns=1)),
        (b"a,b\n1,2\n", Limits(bytes=7)),
        (png(size=20), Limits(pixels=399)),
    ):
        found = inspect(data, limits)
        assert [finding.rule for finding in found.findings] == ["file_size"]
        assert found.content is None
    assert inspect(rows.encode(), Limits(rows=11)).content is not None


@pytest.mark.parametrize("name", ["", "../a.csv", "a/b.csv", ".hidden", "a..b", "a\x00", "x" * 81, "13812345678.csv"])
def test_check_name_blocks(name: str) -> None:
    assert worst(check_name(name)) == "block"


@pytest.mark.parametrize("name", ["by_district.csv", "参保人数.csv", "a-1.json"])
def test_check_name_passes(name: str) -> None:
    assert check_name(name) == []


def test_write_csv_writes_nulls_and_numbers_plainly() -> None:
    frame = pl.DataFrame({"a": ["x", None], "n": [1.5, None], "-b": [-1, 2]})
    assert write_csv(frame) == b"a,n,'-b\nx,1.5,-1\n,,2\n"
