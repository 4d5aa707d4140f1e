"""The table of divisions: names, the prefix hierarchy, and codes that are no longer in force."""

from __future__ import annotations

import pytest

from desensitize import regions
from desensitize.errors import InvalidInput


def test_find_name_of_district_city_and_province() -> None:
    assert [regions.find_name(code) for code in ("330106", "330100", "330000")] == [
        "西湖区",
        "杭州市",
        "浙江省",
    ]


def test_table_holds_all_provinces_and_every_district_has_a_province() -> None:
    provinces = [code for code in regions.REGIONS if code.endswith("0000")]
    assert len(provinces) == 34
    assert all(regions.truncate_code(code, "province") in regions.REGIONS for code in regions.REGIONS)


def test_former_code_is_known_but_not_current() -> None:
    assert "330103" not in regions.REGIONS
    assert regions.is_region_code("330103")
    assert not regions.is_region_code("339999")


def test_truncate_code_refuses_an_unknown_level_or_form() -> None:
    assert regions.truncate_code("330106", "city") == "330100"
    with pytest.raises(InvalidInput, match="district, city, province"):
        regions.truncate_code("330106", "street")
    with pytest.raises(InvalidInput):
        regions.truncate_code("3301", "city")


def test_list_districts_of_a_city_and_cities_of_a_province() -> None:
    assert "330106" in regions.list_districts("330100")
    assert "330100" in regions.list_cities("330000")
    assert len(regions.list_districts("330100")) == 13
