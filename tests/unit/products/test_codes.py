import pytest
from hypothesis import given
from hypothesis import strategies as st

from products.registry.codes import MAX_SEQUENCE, ProductKind, check_character, is_code, make_code
from shuzha.core.errors import Invalid


def test_make_code_holds_its_parts_and_a_check_character():
    code = make_code("370100", "I", ProductKind.VERIFICATION, 1)
    assert code[:12] == "37I230000001"
    assert is_code(code)


def test_check_character_follows_the_published_example():
    # ISO/IEC 7064 MOD 37,36, the example of ISO 15706 (ISAN 006A-15FA-002B-C95F): check character W.
    assert check_character("006A15FA002BC95F") == "W"


@given(
    sequence=st.integers(1, MAX_SEQUENCE),
    place=st.integers(0, 12),
    letter=st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
)
def test_is_code_refuses_any_single_changed_letter(sequence, place, letter):
    code = make_code("370100", "I", ProductKind.REPORT, sequence)
    changed = code[:place] + letter + code[place + 1 :]
    assert is_code(changed) == (changed == code)


@pytest.mark.parametrize(
    "parts", [("37", "I", 1), ("370100", "Z", 1), ("370100", "I", 0), ("370100", "I", MAX_SEQUENCE + 1)]
)
def test_make_code_refuses_parts_that_have_no_place(parts):
    city, industry, sequence = parts
    with pytest.raises(Invalid, match="product code refuses"):
        make_code(city, industry, ProductKind.REPORT, sequence)
