"""Opening files as departments send them: encodings, marks, doubled headers, odd names."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import desensitize
from desensitize import InvalidInput
from desensitize.tables import open_table

TEXT = "姓名,手机\n张伟,13800138000\n王芳,13900139000\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_open_reads_the_encodings_of_departments(encoding: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert open_table(path).collect().rows() == [("张伟", "13800138000"), ("王芳", "13900139000")]
    report = desensitize.scan(path)
    assert [column.name for column in report] == ["姓名", "手机"]
    assert report["手机"].entities[0].entity == "CN_MOBILE"


def test_open_reads_a_long_file_of_gb18030_cut_within_a_character(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(("a,名\n" + "1,文字\n" * 200_000).encode("gb18030"))
    assert open_table(path).select(pl.len()).collect().item() == 200_000


def test_open_refuses_mixed_encodings_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT.encode("gbk") + TEXT.encode("utf-8") * 3)
    with pytest.raises(InvalidInput, match="mixes UTF-8"):
        open_table(path)
    path.write_bytes(b"a,b\n1,\xff\xff\n")
    with pytest.raises(InvalidInput, match="neither UTF-8 nor GB18030"):
        open_table(path)
    path.write_bytes("名,b\n".encode("gbk") + b"1,2\n" * 300_000 + b"\xff\xff\n")
    with pytest.raises(InvalidInput, match="no gb18030 text from byte"):
        open_table(path)


def test_open_refuses_two_columns_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('姓名,"a,b",姓名\n1,2,3\n', "utf-8")
    with pytest.raises(InvalidInput, match="two columns named: `姓名`"):
        open_table(path)


def test_scan_takes_odd_names_and_a_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('"a,b","c.d*",^x$, ,[0]\n', "utf-8")
    report = desensitize.scan(path)
    assert [column.name for column in report] == ["a,b", "c.d*", "^x$", " ", "[0]"]
    assert {column.role for column in report} == {"other"}
    frame = pl.DataFrame({"^.*$": ["13800138000"] * 3, "x": ["a"] * 3})
    assert [column.entities != () for column in desensitize.scan(frame)] == [True, False]
