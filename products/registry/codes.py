"""The code that a product carries in public, such as `37I2300000014`.

| place | what | source |
|---|---|---|
| 1-2 | province, first two digits of GB/T 2260 | `provinceCode` of the national registry |
| 3 | industry section, a letter of GB/T 4754 (`I`: information services) | `industryCode` of the national registry |
| 4 | data type: 1 resource, 2 product or service, 3 open data | the three types of the national registry |
| 5 | form: 1 component, 2 model, 3 verification, 4 service, 5 report; 0 for a resource | J23 art. 4(3), in its order |
| 6-12 | sequence within the installation | |
| 13 | check character, ISO/IEC 7064 MOD 37,36 | finds any single error and any swap of neighbours |

ASSUMPTION: the national registry gives the parts but no published order; the order here is the installation's own.
"""

from __future__ import annotations

import re
from enum import StrEnum

from shuzha.core.errors import Invalid

RESOURCE_TYPE = "1"
DATA_TYPE = "2"
MAX_SEQUENCE = 9_999_999
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SHAPE = re.compile(r"[1-9][0-9][A-T][1-3][0-5][0-9]{7}[0-9A-Z]")


class ProductKind(StrEnum):
    """The five forms of a product (J23 art. 4(3))."""

    COMPONENT = "component"
    MODEL = "model"
    VERIFICATION = "verification"
    SERVICE = "service"
    REPORT = "report"


_FORM_DIGIT = {kind: str(place) for place, kind in enumerate(ProductKind, 1)}


def make_code(city_code: str, industry: str, kind: ProductKind, sequence: int) -> str:
    """Return the product code of these parts; refuses an industry or sequence that has no place in it."""
    return _make(city_code, industry, DATA_TYPE + _FORM_DIGIT[kind], sequence)


def make_resource_code(city_code: str, industry: str, sequence: int) -> str:
    """Return the code of a data resource; refuses the same."""
    return _make(city_code, industry, RESOURCE_TYPE + "0", sequence)


def _make(city_code: str, industry: str, form: str, sequence: int) -> str:
    if not re.fullmatch(r"[1-9][0-9]{5}", city_code):
        raise Invalid(f"a product code refuses the city code `{city_code}`", rule="product.code", accepted="six digits")
    if not re.fullmatch(r"[A-T]", industry):
        raise Invalid(
            f"a product code refuses the industry `{industry}`", rule="product.code", accepted="A to T (GB/T 4754)"
        )
    if not 0 < sequence <= MAX_SEQUENCE:
        raise Invalid(
            f"a product code refuses sequence {sequence}", rule="product.code", accepted=f"1 to {MAX_SEQUENCE}"
        )
    body = f"{city_code[:2]}{industry}{form}{sequence:07d}"
    return body + check_character(body)


def check_character(body: str) -> str:
    """Return the check character of a code's first twelve places (ISO/IEC 7064 MOD 37,36)."""
    return _LETTERS[(37 - _run(body)) % 36]


def is_code(text: str) -> bool:
    """Return whether the text has the shape of a product code and its check character fits."""
    return bool(_SHAPE.fullmatch(text)) and check_character(text[:-1]) == text[-1]


def _run(body: str) -> int:
    product = 36
    for letter in body:
        total = (product + _LETTERS.index(letter)) % 36 or 36
        product = total * 2 % 37
    return product
