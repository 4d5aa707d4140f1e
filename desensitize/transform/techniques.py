"""The techniques a plan can name for a column: values only, no tables.

Each technique is a frozen dataclass; its fields are the options of the plan, its checks refuse what cannot be
carried out.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from desensitize.errors import InvalidPlan
from desensitize.freetext.finding import CAUTIONS
from desensitize.hierarchy import DATE_LEVELS
from desensitize.regions import LEVELS as REGION_LEVELS
from desensitize.regions import REGIONS

ALGORITHMS: tuple[str, ...] = ("hmac-sha256", "hmac-sm3")
ALPHABETS: Mapping[str, str] = {
    "digits": string.digits,
    "alphanumeric": string.digits + string.ascii_uppercase,
    "hexadecimal": string.digits + "abcdef",
}
CHECKS: tuple[str, ...] = ("luhn", "resident-id")
_REGION_PLACES = 6
_MOST_STEPS = 2**40


def _refuse_unless(condition: object, message: str) -> None:
    if not condition:
        raise InvalidPlan(message)


@dataclass(frozen=True, slots=True)
class Keep:
    """The column passes unchanged."""

    technique: ClassVar[str] = "keep"
    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """The column is left out."""

    technique: ClassVar[str] = "drop"
    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Mask:
    """All but the first and last characters become `****`; a value no longer than what is kept is masked whole."""

    technique: ClassVar[str] = "mask"
    kind: ClassVar[str] = ""
    keep_first: int = 0
    keep_last: int = 0

    def __post_init__(self) -> None:
        _refuse_unless(self.keep_first >= 0 and self.keep_last >= 0, "keep_first and keep_last cannot be negative")


@dataclass(frozen=True, slots=True)
class Pseudonymize:
    """Values become keyed hashes in hexadecimal: equal values equal, another key or `domain` unrelated.

    `length` keeps that many characters; `normalize` first trims blanks and makes letters upper case.
    """

    technique: ClassVar[str] = "pseudonymize"
    kind: ClassVar[str] = ""
    algorithm: str = "hmac-sha256"
    domain: str = ""
    length: int = 32
    normalize: bool = False

    def __post_init__(self) -> None:
        _refuse_unless(self.algorithm in ALGORITHMS, f"algorithm must be one of: {', '.join(ALGORITHMS)}")
        _refuse_unless(16 <= self.length <= 64, "length must be between 16 and 64 hexadecimal characters")


@dataclass(frozen=True, slots=True)
class Encrypt:
    """Values are encrypted with their format kept (FF1); whoever holds the key can have them back.

    `keep_first` and `keep_last` characters stay as they are; the rest must be written in `alphabet` (digits,
    alphanumeric, hexadecimal, or the characters themselves). `check` names the check digit that the last character
    is: it is made anew. `domain` and `normalize` as for pseudonyms.
    """

    technique: ClassVar[str] = "encrypt"
    kind: ClassVar[str] = ""
    alphabet: str = "digits"
    keep_first: int = 0
    keep_last: int = 0
    check: str = ""
    domain: str = ""
    normalize: bool = False

    def __post_init__(self) -> None:
        _refuse_unless(self.keep_first >= 0 and self.keep_last >= 0, "keep_first and keep_last cannot be negative")
        symbols = self.symbols
        fits = len(set(symbols)) == len(symbols) and all("!" <= symbol <= "~" for symbol in symbols)
        _refuse_unless(
            fits and len(symbols) >= 2 and len(symbols) % 2 == 0,
            f"alphabet must be one of: {', '.join(ALPHABETS)}; or an even number of different ASCII characters",
        )
        _refuse_unless(not self.check or self.check in CHECKS, f"check must be one of: {', '.join(CHECKS)}")
        if self.check:
            _refuse_unless(
                self.alphabet == "digits" and not self.keep_last,
                "a check digit is the last character of a value of digits: leave out alphabet and keep_last",
            )
        if self.check == "resident-id":
            _refuse_unless(self.keep_first == _REGION_PLACES, "check resident-id keeps the region: give keep_first = 6")

    @property
    def symbols(self) -> str:
        """Return the characters that are encrypted into one another, in the order of their numbers."""
        return ALPHABETS.get(self.alphabet, self.alphabet)


@dataclass(frozen=True, slots=True)
class GeneralizeRegion:
    """GB/T 2260 codes (6 digits, or the first 6 of a resident ID) become their district, city or province."""

    technique: ClassVar[str] = "generalize"
    kind: ClassVar[str] = "region"
    level: str = "city"

    def __post_init__(self) -> None:
        _refuse_unless(self.level in REGION_LEVELS, f"level must be one of: {', '.join(REGION_LEVELS)}")


@dataclass(frozen=True, slots=True)
class GeneralizeAddress:
    """A written address becomes the province, city or district it begins with, by its names or, with `code`, its code.

    What names several divisions (`朝阳区`) becomes `*`, unless `home`, a province's or city's code, holds one of them.
    """

    technique: ClassVar[str] = "generalize"
    kind: ClassVar[str] = "address"
    level: str = "district"
    home: str = ""
    code: bool = False

    def __post_init__(self) -> None:
        _refuse_unless(self.level in REGION_LEVELS, f"level must be one of: {', '.join(REGION_LEVELS)}")
        _refuse_unless(
            not self.home or (self.home in REGIONS and self.home.endswith("00")),
            "home must be the code of a province or city, such as 330000 or 330100",
        )


@dataclass(frozen=True, slots=True)
class GeneralizeDate:
    """A date becomes its month, quarter, year or decade. Text is read as `2024-01-31`, `2024/01/31` or `20240131`."""

    technique: ClassVar[str] = "generalize"
    kind: ClassVar[str] = "date"
    level: str = "year"

    def __post_init__(self) -> None:
        _refuse_unless(self.level in DATE_LEVELS, f"level must be one of: {', '.join(DATE_LEVELS)}")


@dataclass(frozen=True, slots=True)
class GeneralizeNumber:
    """A number becomes a band such as `[20,25)`: equal bands of `width` from `origin`, or the bands between `edges`."""

    technique: ClassVar[str] = "generalize"
    kind: ClassVar[str] = "number"
    width: float = 0
    origin: float = 0
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _refuse_unless((self.width > 0) != bool(self.edges), "give either a positive width or edges")
        _refuse_unless(list(self.edges) == sorted(set(self.edges)), "edges must rise")
        _refuse_unless(all(math.isfinite(x) for x in (self.width, self.origin, *self.edges)), "numbers must be finite")


@dataclass(frozen=True, slots=True)
class GeneralizeAge:
    """An age, or the age on day `on` of someone born on a date, becomes a band between `edges`."""

    technique: ClassVar[str] = "generalize"
    kind: ClassVar[str] = "age"
    edges: tuple[float, ...] = (0, 7, 16, 18, 30, 45, 60, 75)
    on: str = ""

    def __post_init__(self) -> None:
        _refuse_unless(self.edges and list(self.edges) == sorted(set(self.edges)), "edges must be given and rise")
        try:
            _ = dt.date.fromisoformat(self.on) if self.on else None
        except ValueError as error:
            raise InvalidPlan("on must be a day such as 2026-01-01") from error


@dataclass(frozen=True, slots=True)
class GeneralizeTable:
    """A value becomes what the row that starts with it says at `level`; values without a row become `*`."""

    technique: ClassVar[str] = "generalize"
    kind: ClassVar[str] = "table"
    rows: tuple[tuple[str, ...], ...] = ()
    level: int = 1

    def __post_init__(self) -> None:
        _refuse_unless(self.rows, "rows must hold at least one row, the value first and its generalizations after it")
        width = len(self.rows[0])
        _refuse_unless(all(len(row) == width for row in self.rows), "all rows must have the same number of values")
        _refuse_unless(1 <= self.level < width, f"level must be between 1 and {width - 1}")
        _refuse_unless(len({row[0] for row in self.rows}) == len(self.rows), "each value may start one row only")


@dataclass(frozen=True, slots=True)
class Round:
    """A number goes to the nearest multiple of `to`."""

    technique: ClassVar[str] = "round"
    kind: ClassVar[str] = ""
    to: float = 0

    def __post_init__(self) -> None:
        _refuse_unless(math.isfinite(self.to) and self.to > 0, "to must be a positive number")


@dataclass(frozen=True, slots=True)
class Clip:
    """Numbers below `bottom` become `bottom`, numbers above `top` become `top` (bottom and top coding)."""

    technique: ClassVar[str] = "clip"
    kind: ClassVar[str] = ""
    bottom: float | None = None
    top: float | None = None

    def __post_init__(self) -> None:
        _refuse_unless(self.bottom is not None or self.top is not None, "give bottom, top or both")
        if self.bottom is not None and self.top is not None:
            _refuse_unless(self.bottom < self.top, "bottom must be less than top")


@dataclass(frozen=True, slots=True)
class Noise:
    """Numbers get fresh discrete Laplace noise, in multiples of `step`, drawn anew at every run.

    Either `scale`, the mean size of the noise, which promises nothing; or `epsilon` with `bottom` and `top`: values are
    clipped to that range, and each cell is epsilon-differentially private by itself (the local model). A person with n
    cells has n times epsilon.
    """

    technique: ClassVar[str] = "noise"
    kind: ClassVar[str] = ""
    scale: float = 0
    epsilon: float = 0
    bottom: float | None = None
    top: float | None = None
    step: float = 1

    def __post_init__(self) -> None:
        values = (self.scale, self.epsilon, self.step, self.bottom or 0, self.top or 0)
        _refuse_unless(all(math.isfinite(value) for value in values), "numbers must be finite")
        _refuse_unless(self.step > 0, "step must be a positive number")
        _refuse_unless(
            (self.scale > 0) != (self.epsilon > 0), "give either a positive scale, or epsilon, bottom and top"
        )
        ranged = self.bottom is not None and self.top is not None
        _refuse_unless(ranged or not self.epsilon, "epsilon needs bottom and top; they are never taken from the data")
        _refuse_unless(not self.scale or (self.bottom is None and self.top is None), "scale takes no bottom and top")
        if self.bottom is not None and self.top is not None:
            _refuse_unless(self.bottom < self.top, "bottom must be less than top")
            _refuse_unless(1 <= (self.top - self.bottom) / self.step <= _MOST_STEPS, "step must fit the range")


@dataclass(frozen=True, slots=True)
class Redact:
    """Identifiers inside text become labels such as `[手机号1]`, equal ones equal within one cell.

    `names` finds people, addresses and organisations too; `caution` says how readily: `strict` takes
    whatever may be a name, `high` what is likely one, `balanced` keeps more of what is doubtful.
    """

    technique: ClassVar[str] = "redact"
    kind: ClassVar[str] = ""
    names: bool = True
    caution: str = "high"

    def __post_init__(self) -> None:
        _refuse_unless(self.caution in CAUTIONS, f"caution must be one of: {', '.join(CAUTIONS)}")


Technique: TypeAlias = (
    Keep
    | Drop
    | Mask
    | Pseudonymize
    | Encrypt
    | GeneralizeRegion
    | GeneralizeAddress
    | GeneralizeDate
    | GeneralizeNumber
    | GeneralizeAge
    | GeneralizeTable
    | Round
    | Clip
    | Noise
    | Redact
)
_ALL: tuple[type[Technique], ...] = (
    Keep,
    Drop,
    Mask,
    Pseudonymize,
    Encrypt,
    GeneralizeRegion,
    GeneralizeAddress,
    GeneralizeDate,
    GeneralizeNumber,
    GeneralizeAge,
    GeneralizeTable,
    Round,
    Clip,
    Noise,
    Redact,
)
# The techniques that need the release's key, so that its fingerprint belongs in the certificate.
KEYED: tuple[type[Technique], ...] = (Pseudonymize, Encrypt)
NAMES: tuple[str, ...] = tuple(dict.fromkeys(technique.technique for technique in _ALL))


def parse_technique(values: Mapping[str, Any]) -> Technique:
    """Return the technique that a plan's table describes.

    Refuses unknown names, kinds, options and types, saying what fits.
    """
    options = dict(values)
    name = options.pop("technique", None)
    kinds = {technique.kind: technique for technique in _ALL if technique.technique == name}
    _refuse_unless(kinds, f"technique must be one of: {', '.join(NAMES)}")
    kind = options.pop("kind", "")
    _refuse_unless(kind in kinds, f"technique `{name}` takes as kind one of: {', '.join(kinds) or 'none'}")
    return _build(kinds[kind], options)


def _build(technique: type[Technique], options: Mapping[str, Any]) -> Technique:
    fields = {field.name: field for field in dataclasses.fields(technique)}
    for option, value in options.items():
        known = ", ".join(fields) or "none"
        _refuse_unless(
            option in fields, f"option `{option}` is unknown to `{technique.technique}`; its options: {known}"
        )
        _check_type(option, value, str(fields[option].type))
    return technique(**{option: _freeze(value) for option, value in options.items()})


def _check_type(option: str, value: object, wanted: str) -> None:
    fits = {
        "bool": isinstance(value, bool),
        "int": _is_number(value) and isinstance(value, int),
        "float": _is_number(value),
        "float | None": _is_number(value),
        "str": isinstance(value, str),
        "tuple[float, ...]": isinstance(value, list | tuple) and all(_is_number(x) for x in value),
        "tuple[tuple[str, ...], ...]": isinstance(value, list | tuple)
        and all(isinstance(x, list | tuple) and not any(isinstance(y, list | tuple | dict) for y in x) for x in value),
    }
    _refuse_unless(fits[wanted], f"option `{option}` must be of type {wanted}, its numbers finite and below 2^63")


def _is_number(value: object) -> bool:
    # Compared, not converted: a TOML file may hold whole numbers of any size.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list | tuple) else value


def describe(technique: Technique) -> dict[str, Any]:
    """Return the technique as a plan writes it.

    Its name, its kind if it has one, and the options that differ from the default.
    """
    described: dict[str, Any] = {"technique": technique.technique}
    if technique.kind:
        described["kind"] = technique.kind
    for field in dataclasses.fields(technique):
        value = getattr(technique, field.name)
        if value != field.default:
            described[field.name] = (
                [list(x) if isinstance(x, tuple) else x for x in value] if isinstance(value, tuple) else value
            )
    return described
