import polars as pl
import pytest

from shuzha.catalog.reader import open_upload
from shuzha.core.errors import Invalid

TEXT = "姓名,城市,金额\n张三,济南市历下区,10\n李四,中山市石岐街道,20\n"
NAMES = ["姓名", "城市", "金额"]


def read(tmp_path, content, names=NAMES):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    return open_upload(path, "rows.csv", tmp_path / "scratch", names)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
def test_open_reads_the_accepted_encodings(tmp_path, encoding):
    frame = read(tmp_path, TEXT.encode(encoding)).frame.collect()
    assert frame.columns == NAMES
    assert frame["城市"].to_list() == ["济南市历下区", "中山市石岐街道"]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        "姓名,城市,金額\n張三,濟南市歷下區,10\n李四,臺灣臺北,20\n陳大文,九龍觀塘,5\n".encode("big5"),
        "名前,都市\n山田たろう,とうきょう\n".encode("euc-jp") + b"\xff\xff\n",
        "name,city\nJos\xe9,M\xfcnchen\nZo\xeb,K\xf6ln\n".encode("latin-1"),
    ],
)
def test_open_refuses_other_encodings_naming_file_and_accepted_ones(tmp_path, content):
    with pytest.raises(Invalid) as caught:
        read(tmp_path, content)
    assert caught.value.rule == "batch.encoding"
    assert "rows.csv" in caught.value.message
    assert "GB18030" in caught.value.accepted


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_open_finds_the_separator(tmp_path, separator):
    upload = read(tmp_path, TEXT.replace(",", separator).encode())
    assert upload.columns == tuple(NAMES)


def test_open_names_missing_and_unknown_columns(tmp_path):
    with pytest.raises(Invalid, match="missing column `金额`"):
        read(tmp_path, "姓名,城市\n张三,济南\n".encode())
    with pytest.raises(Invalid, match="unknown column `备注`"):
        read(tmp_path, "姓名,城市,金额,备注\n张三,济南,1,x\n".encode())
    with pytest.raises(Invalid, match="stands there twice"):
        read(tmp_path, "姓名,城市,金额,金额\n张三,济南,1,2\n".encode())


def test_open_does_not_repeat_a_first_line_that_may_be_data(tmp_path):
    with pytest.raises(Invalid) as caught:
        read(tmp_path, "110105194912310021,济南,10\n".encode())
    assert "1101" not in str(caught.value)


def test_open_refuses_an_empty_file(tmp_path):
    for content in (b"", b"\n\n", b"\xef\xbb\xbf"):
        with pytest.raises(Invalid):
            read(tmp_path, content)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("张三,济南,1,身份证13812345678\n", 2),
        ("张三,济南,1\n李四,13812345678\n", 3),
        ("张三,济南,1\n李四,13812345678", 3),
        ('张三,"济南,\n历下",1\n李四,"13812345678,1\n', 4),
        ("张三,济南,1\n13812345678\n王五,济南,2\n", 3),
    ],
    ids=["longer", "shorter", "cut off", "open quote", "in the middle"],
)
def test_open_refuses_rows_of_another_shape_without_a_value(tmp_path, rows, line):
    with pytest.raises(Invalid, match=rf"line {line} does not have the shape of the header") as caught:
        read(tmp_path, f"姓名,城市,金额\n{rows}".encode())
    assert "13812345678" not in str(caught.value)
    assert caught.value.rule == "batch.file"


@pytest.mark.parametrize("rows", ['"张,三","济""南",1\n', "张三,济南,1\r\n\r\n", "张三,,\n", '张三,"济南\n历下",1'])
def test_open_reads_rows_of_the_headers_shape(tmp_path, rows):
    assert len(read(tmp_path, f"姓名,城市,金额\n{rows}".encode()).frame.collect().drop_nulls("姓名")) == 1


def test_open_reads_parquet_by_content_and_refuses_a_cut_one(tmp_path):
    frame = pl.DataFrame({"姓名": ["a"], "城市": ["b"], "金额": [1]})
    frame.write_parquet(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    assert not read(tmp_path, whole).is_text
    with pytest.raises(Invalid, match="cannot be read"):
        read(tmp_path, whole[:200])
