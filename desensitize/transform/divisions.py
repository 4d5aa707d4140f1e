"""From a written address to the division it names: district, city, province.

Words: the *path* of a division is its names from the province down, `浙江省杭州市西湖区`; its *forms* are the ways in
which an address may begin with it: `浙江杭州西湖区`, `杭州市西湖区`, `西湖区`. The last name of a form keeps its suffix
(区, 县, 市 …), for `杭州路` is no city. A form of several divisions (`朝阳区` of Beijing and of Changchun) is
*ambiguous*: it names none, unless a *home* (a province's or city's code) holds one of them only. Former divisions are
known too, where no current one has the form.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache

import polars as pl

from desensitize.regions import FORMER_REGIONS, REGIONS, find_name, truncate_code
from desensitize.transform.columns import work_once

_ENDS = "省市区县旗盟州岛域会"
_LONGEST = 36
_MOST_NAMES = 6
# 直辖县级行政区划, 所属县 and 市辖区 stand in the list of divisions, not in addresses.
_NOT_WRITTEN = re.compile("直辖县级行政区划$|所属县$|^市辖区$|^县$")
_COUNTRY = "^(?:中华人民共和国|中国)"
_AUTONOMOUS = re.compile("(?:壮族|回族|维吾尔)?自治区$|特别行政区$|省$|市$")
_PEOPLES = (
    "蒙古族?|回族|藏族|维吾尔|苗族|彝族|壮族|布依族|朝鲜族|侗族|白族|土家族|哈尼族|"
    "哈萨克|傣族|黎族|傈僳族|羌族|景颇族|柯尔克孜"
)
_PREFECTURE = re.compile(f"(?:{_PEOPLES})+自治州$")


def find_divisions(addresses: pl.Series, home: str = "") -> pl.Series:
    """Return the six-digit code of the finest division that each address begins with, null where none is sure."""
    return work_once(addresses, lambda values: _find(values, home))


def generalize_addresses(addresses: pl.Series, level: str, home: str, *, code: bool) -> pl.Series:
    """Return the path (or the code) of each address's district, city or province; null where that is not sure."""
    found = find_divisions(addresses, home)
    written = [(one, _write(one, level, as_code=code)) for one in found.drop_nulls().unique()]
    old, new = [one for one, _ in written], [text for _, text in written]
    return found.replace_strict(old, new, default=None, return_dtype=pl.String)


def path_of(code: str) -> str:
    """Return the names of a division from its province down, as an address writes them, or an empty text."""
    province, city, district = (
        find_name(truncate_code(code, level)) or "" for level in ("province", "city", "district")
    )
    if _NOT_WRITTEN.search(city):
        # 湖北省仙桃市, but 湖北省直辖县级行政区划 where all of these are meant.
        city = "" if code[4:] != "00" else city.removeprefix(province)
    return "".join(dict.fromkeys(name for name in (province, city, district if code[4:] != "00" else "") if name))


def _write(code: str, level: str, *, as_code: bool) -> str | None:
    """Return a division at a level, or null where it is known less finely; Beijing is a province and a city."""
    city, whole = truncate_code(code, "city"), truncate_code(code, "province")
    if code == whole and level != "province":
        only = next(
            (one for one in (f"{code[:2]}0100",) if level == "city" and find_name(one) == find_name(code)), None
        )
        if only is None:
            return None
        code = only
    if level == "district" and code == city:
        return None
    at_level = truncate_code(code, level)
    return at_level if as_code else path_of(at_level)


def _find(values: pl.Series, home: str) -> pl.Series:
    text = values.alias("text").str.replace_all(r"\s", "").str.replace(_COUNTRY, "").str.head(_LONGEST)
    # Every beginning that ends like a division; names hold such endings too (市中区), so all of them are tried.
    name = f"[^{_ENDS}]{{0,18}}[{_ENDS}]"
    frame = text.to_frame().select(
        pl.col("text").str.extract(f"^((?:{name}){{{count}}})", 1).alias(str(count))
        for count in range(1, _MOST_NAMES + 1)
    )
    forms = _forms(home)
    found = [
        frame.select(form=str(count)).join(forms, on="form", how="left", maintain_order="left")["code"]
        for count in range(_MOST_NAMES, 0, -1)
    ]
    # An ambiguous form is an empty code: a shorter form inside it must not be taken instead.
    code = pl.select(pl.coalesce(found).alias("code")).to_series()
    return pl.select(pl.when(code != "").then(code)).to_series().alias(values.name)


@cache
def _forms(home: str) -> pl.DataFrame:
    """Return the forms and their codes; an ambiguous form has an empty code."""
    within = home.rstrip("0") if home else ""
    held: dict[str, list[str]] = {}
    for codes in (REGIONS, FORMER_REGIONS):
        found: dict[str, list[str]] = {}
        for code in codes:
            for form in _forms_of(code):
                if form not in held:
                    found.setdefault(form, []).append(code)
        held |= found
    sure = {form: _choose(codes, within) for form, codes in held.items()}
    return pl.DataFrame(
        {"form": list(sure), "code": list(sure.values())}, schema={"form": pl.String, "code": pl.String}
    )


def _choose(codes: list[str], within: str) -> str:
    at_home = [code for code in codes if within and code.startswith(within)]
    for some in (codes, at_home):
        if len({path_of(code) for code in some}) == 1:
            return some[-1]
    return ""


def _forms_of(code: str) -> Iterator[str]:
    province, city, district = (
        find_name(truncate_code(code, level)) or "" for level in ("province", "city", "district")
    )
    heads = {province, _AUTONOMOUS.sub("", province), ""}
    if code[2:] == "0000":
        yield province
        return
    middles = {""} if city == province or _NOT_WRITTEN.search(city) else {city, _shorten_city(city), ""}
    if code[4:] == "00":
        yield from (head + city for head in heads if city in middles)
        return
    if city == province:
        # Cities under the central government: 北京市北京市朝阳区 and 北京市市辖区朝阳区 are written too.
        middles = {"", city, "市辖区"}
    if not _NOT_WRITTEN.search(district):
        yield from {head + middle + district for head, middle in itertools.product(heads, middles)}


def _shorten_city(city: str) -> str:
    short = _PREFECTURE.sub("州", city)
    return short if short != city else re.sub("(?:市|地区|盟)$", "", city)
