"""Files that somebody brings: told by content, capped before they cost anything, never quoted in a refusal."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.inbound.child import Caps, read_apart
from sandbox.inbound.model import Rules, Use
from sandbox.inbound.reading import Reading, read_file
from shuzha.core.errors import Invalid
from tests.inbound_kit import BRANCHES, people

RULES = Rules(bytes=1024**2, rows=1_000, columns=8, cell_letters=200)


def read(folder: Path, content: bytes, rules: Rules = RULES) -> tuple[pl.DataFrame, Reading]:
    path = folder / "upload"
    path.write_bytes(content)
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return read_file(path, "file.csv", scratch, rules)


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("file.csv"), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns, strict=False).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def test_csv_becomes_columns_of_plain_types(tmp_path: Path) -> None:
    frame, found = read(tmp_path, BRANCHES)
    assert frame.schema == {"district_code": pl.String, "branches": pl.Int64, "opened": pl.Date}
    assert (found.kind, found.rows, found.formulas) == ("csv", 2, 0)
    assert [(one.name, one.type, one.use) for one in found.columns] == [
        ("district_code", "text", Use.KEEP), ("branches", "integer", Use.KEEP), ("opened", "date", Use.KEEP),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
def test_chinese_text_is_read_in_the_encodings_that_it_comes_in(tmp_path: Path, encoding: str) -> None:
    frame, _ = read(tmp_path, "区县名称,网点数\n济南市历下区,3\n青岛市市南区,4\n".encode(encoding))
    assert frame.rows() == [("济南市历下区", 3), ("青岛市市南区", 4)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped(b"0" * 10**7), "an archive or a workbook"), (gzip.compress(BRANCHES, mtime=0), "compressed (gzip)"),
        (pickle.dumps({"a": [1]}, 0), "no table"), (pickle.dumps({"a": [1]}, 2), "a pickle"),
        (pickle.dumps({"a": [1]}, 5), "a pickle"), (b"\xd0\xcf\x11\xe0" + b"x" * 600, "an old office document"),
        (b"x" * 257 + b"ustar" + b"x" * 300, "an archive (tar)"), (b"SQLite format 3\x00x", "a database"),
        (b'[{"a": 1}]', "json"), (b"<html><body>a,b</body></html>", "no table"), (b"\x7fELF" + b"x" * 9, "a program"),
        (b"a,b\n1,\x002\n", "control characters"), ("a,b\n1,2\n".encode("utf-16"), "control characters"),
        ("name,caf\u00e9\nJos\u00e9,1\n".encode("latin1"), "encoding"), (b"PAR1 and no more", "cut off"),
        (b"", "is empty"), (b"a,b\n", "no rows"), (b"a,b\n1,2,3\n", "shape of the header"), (b"a,a\n1,2\n", "column 1"),
        (b"11010519491231002X,x\n1,2\n", "holds an identifier"), (b"a,b\n1e999,1\n", "1 cells of column `a`"),
        (b'a,b\n1,"2\n', "cannot be read"), (b"a;b\n1;2\n1\n", "shape of the header"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_by_what_it_holds(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(tmp_path, content)
    assert said in refused.value.message, refused.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ((",".join(f"c{n}" for n in range(10**6)) + "\n").encode(), "first line is longer"),
        ((",".join(f"c{n}" for n in range(9)) + "\n" + ",".join("1" * 9)).encode(), "too many columns"),
        (b"a\n" + b"1\n" * 1_001, "too many rows"), (b"a,b\n1," + b"x" * 201 + b"\n", "longer than 200"),
        (parquet(a=range(1_001)), "too many rows"), (parquet(**{f"c{n}": [1] for n in range(9)}), "too many columns"),
        (parquet(a=["x" * 201]), "longer than 200"), (parquet(a=[[1]]), "of type List"), (parquet(a=[b"1"]), "Binary"),
        (parquet(a=[{"b": 1}]), "of type Struct"), (parquet(a=[1.0, float("nan")]), "1 cells of column `a`"),
        (parquet(a=pl.Series([2**64 - 1], dtype=pl.UInt64)), "1 cells of column `a`"),
    ],
)  # fmt: skip
def test_what_is_beyond_the_caps_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(tmp_path, content)
    assert said in refused.value.message, refused.value


def test_a_file_with_formulas_is_read_as_text_and_counted(tmp_path: Path) -> None:
    frame, found = read(tmp_path, b"a,b\n=HYPERLINK(1),-5\n@x,7\n-x,3\n")
    assert frame.rows() == [("=HYPERLINK(1)", -5), ("@x", 7), ("-x", 3)]
    assert found.formulas == 3


def test_identifiers_are_found_in_every_column_and_left_out_unless_asked(tmp_path: Path) -> None:
    _, found = read(tmp_path, people(range(100)))
    uses = {one.name: (one.names_somebody, one.use) for one in found.columns}
    assert uses["resident_id"] == (True, Use.DROP)
    assert uses["name"] == (True, Use.DROP)
    assert uses["segment"] == (False, Use.KEEP)


def test_one_stray_number_makes_a_column_name_somebody(tmp_path: Path) -> None:
    content = b"shop,remark\n" + b"".join(b"s%d,ok\n" % n for n in range(200)) + "s9,电话13812345678\n".encode()
    _, found = read(tmp_path, content)
    assert [one.name for one in found.columns if one.names_somebody] == ["remark"]


def test_no_refusal_repeats_a_cell(tmp_path: Path) -> None:
    secret = b"370102198001010003"
    broken = (
        b"a,b\n" + secret + b",1,2\n", b"a,b\n" + secret + b',"1\n', b"a,b\n" + secret * 20 + b",1\n",
        secret + b"," + secret + b"\n1,2\n", b"a,b\n\x00" + secret + b",1\n",
    )  # fmt: skip
    for content in broken:
        with pytest.raises(Invalid) as refused:
            read(tmp_path, content)
        assert secret.decode() not in str(refused.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_table_or_a_refusal(tmp_path: Path, content: bytes) -> None:
    try:
        frame, found = read(tmp_path, content)
    except Invalid:
        return
    assert frame.height == found.rows > 0
    assert frame.columns == [one.name for one in found.columns]


def test_damaged_parquet_is_a_table_or_a_refusal(tmp_path: Path) -> None:
    whole, chance = parquet(a=[1, 2, 3], b=["x", "y", None]), random.Random(3)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            damaged[chance.randrange(4, len(damaged) - 4)] = chance.randrange(256)
        try:
            frame, _ = read(tmp_path, bytes(damaged))
        except Invalid as error:
            assert error.rule  # noqa: PT017 - a refusal is one of two sound ends
            continue
        assert frame.height <= RULES.rows


def test_a_file_that_costs_more_than_it_may_ends_with_its_own_process(tmp_path: Path) -> None:
    """Twelve cells of three megabytes each, told in a thousand bytes."""
    buffer = io.BytesIO()
    pl.Series("a", ["x" * 3_000_000]).new_from_index(0, 12).to_frame().write_parquet(buffer, compression="zstd")
    assert len(buffer.getvalue()) < 10_000
    (tmp_path / "upload").write_bytes(buffer.getvalue())
    for caps, rule in ((Caps(), "own.cells"), (Caps(addresses=700 * 1024**2), "own.cost")):
        with pytest.raises(Invalid) as refused:
            read_apart(tmp_path / "upload", "file.parquet", Rules(), caps)
        assert refused.value.rule == rule
        assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_the_child_says_what_it_found_and_keeps_nothing_of_the_platform(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(BRANCHES)
    table, found = read_apart(tmp_path / "upload", "file.csv", Rules())
    assert pl.read_parquet(io.BytesIO(table)).height == found.rows == 2
    assert json.dumps([one.name for one in found.columns])
    (tmp_path / "upload").write_bytes(b'{"a": 1}')
    with pytest.raises(Invalid, match=r"file\.csv is json") as refused:
        read_apart(tmp_path / "upload", "file.csv", Rules())
    assert refused.value.rule == "own.file"
