"""Price plans: how uses become money, as typed data. Pure integers: prices in 毫 (1/10,000 yuan), fees in fen.

Words. A *plan* says how a month's uses of one consumer are charged. It is either *basic* (per call, graduated, volume,
package, subscription, by time) or one of the two that wrap a basic one: *trial* (another price until a day) and
*minimum* (what is missing to a minimum is charged too). A *version* is a plan of a product from a day on, for everybody
or for one consumer; a version that has begun is never changed, so past use keeps its price. A version may *waive*: the
use is metered and priced in full and nobody owes it (计价免费, W25 art. 22).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from shuzha.core.errors import Invalid
from shuzha.core.money import HAO_PER_FEN

MAX_HAO = 10**10
MAX_FEN = 10**12
MAX_UNITS = 10**12
MAX_TIERS = 20
RULE = "price.plan"


class _Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """What every plan shares: it is frozen, strict JSON with its `type`."""


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tier: to which use it reaches (None: without end), the price of one use in 毫, and a flat fee in fen."""

    up_to: int | None
    price: int
    flat_fen: int = 0


class PerCall(_Plan, frozen=True, tag="per_call"):
    """Each use at one price (按次)."""

    price: int


class Graduated(_Plan, frozen=True, tag="graduated"):
    """Each use at the price of the tier that it falls into (超额累进); a tier's flat fee once it is entered."""

    tiers: tuple[Tier, ...]


class Volume(_Plan, frozen=True, tag="volume"):
    """All uses at the price of the tier that their number falls into (全额阶梯), and that tier's flat fee."""

    tiers: tuple[Tier, ...]


class Package(_Plan, frozen=True, tag="package"):
    """Packages of `size` uses, each begun one at `price_fen`, after `free` free uses a month (套餐)."""

    size: int
    price_fen: int
    free: int = 0


class Subscription(_Plan, frozen=True, tag="subscription"):
    """A fee a month that includes a quota, and a price for each use beyond it (包月)."""

    fee_fen: int
    included: int
    price: int


class ByTime(_Plan, frozen=True, tag="by_time"):
    """A price in fen for each city day on which the product was used, however often (按时)."""

    price_fen: int


Basic: TypeAlias = PerCall | Graduated | Volume | Package | Subscription | ByTime


class Trial(_Plan, frozen=True, tag="trial"):
    """A trial price to the last day `until`, and a basic plan for the uses after it (试行价格)."""

    until: dt.date
    price: int
    then: Basic


class Minimum(_Plan, frozen=True, tag="minimum"):
    """A basic plan, and what is missing to `minimum_fen` a month (最低消费)."""

    minimum_fen: int
    then: Basic


Plan: TypeAlias = Basic | Trial | Minimum


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan of a product from a day on, as it is published; `consumer` is empty where it is for everybody.

    `waived` waives all of it, `waived_purposes` the uses for some purposes.
    """

    id: str
    product: str
    consumer: str
    valid_from: dt.date
    plan: Plan
    waived: bool = False
    waived_purposes: tuple[str, ...] = ()

    def sha256(self) -> str:
        """Return the hash of its canonical JSON, which a statement names."""
        plain = msgspec.to_builtins(self, order="sorted")
        return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a charge: what (`units`, `flat`, `package`, `fee`, `over`, `days`, `trial`, `minimum`), how much."""

    what: str
    quantity: int
    unit_hao: int
    hao: int


def read_plan(value: object) -> Plan:
    """Return the plan that JSON values describe; refuses an unknown type, a missing or a misspelt field."""
    try:
        return msgspec.convert(value, Plan, strict=False)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise Invalid(f"a price plan is refused: {error}", rule=RULE, accepted=", ".join(TYPES)) from None


def check_plan(plan: Plan) -> None:
    """Refuse numbers out of range, tiers that do not rise or do not end without end, and an empty package."""
    if isinstance(plan, Trial | Minimum):
        check_plan(plan.then)
    for name, most in _BOUNDS.items():
        value = getattr(plan, name, None)
        if value is not None and not 0 <= value <= most:
            raise Invalid(f"a price plan is refused: {name}", rule=RULE, accepted=f"0 to {most}", field=name)
    if isinstance(plan, Package) and plan.size < 1:
        raise Invalid("a price plan is refused: size", rule=RULE, accepted="a package of 1 use or more", field="size")
    if isinstance(plan, Graduated | Volume):
        _check_tiers(plan.tiers)


def counts_by_month(plan: Plan) -> bool:
    """Return whether the plan counts over a whole month, so that it has to begin on the first of one."""
    if isinstance(plan, Trial):
        return counts_by_month(plan.then)
    return not isinstance(plan, PerCall | ByTime)


def owed_without_use(plan: Plan) -> bool:
    """Return whether a consumer owes something in a month without a use."""
    return isinstance(plan, Subscription | Minimum) or (isinstance(plan, Trial) and owed_without_use(plan.then))


def dearest_use(plan: Plan) -> int:
    """Return the most that one more use may cost, in 毫: what a ceiling price is compared with.

    A package counts as its price over its size, rounded up; fees of a month and of a day are no price of a use.
    """
    if isinstance(plan, Trial):
        return max(plan.price, dearest_use(plan.then))
    if isinstance(plan, Minimum):
        return dearest_use(plan.then)
    if isinstance(plan, Graduated | Volume):
        return max(tier.price for tier in plan.tiers)
    if isinstance(plan, Package):
        return -(-plan.price_fen * HAO_PER_FEN // plan.size)
    return 0 if isinstance(plan, ByTime) else plan.price


def charge(plan: Plan, days: Mapping[dt.date, int]) -> tuple[Step, ...]:
    """Return the steps of what a month's uses cost; `days` are the uses of each city day. Their 毫 are not rounded."""
    if isinstance(plan, Trial):
        inside = sum(count for day, count in days.items() if day <= plan.until)
        after = {day: count for day, count in days.items() if day > plan.until}
        tried = _priced("trial", inside, plan.price)
        return (*tried, *charge(plan.then, after)) if after or not days else tried
    if isinstance(plan, Minimum):
        steps = charge(plan.then, days)
        missing = plan.minimum_fen * HAO_PER_FEN - sum(step.hao for step in steps)
        return (*steps, Step("minimum", 1, missing, missing)) if missing > 0 else steps
    return _basic(plan, sum(days.values()), sum(1 for count in days.values() if count > 0))


def full_price(version: Version) -> Plan:
    """Return the plan at which single waived uses are priced: without minimum, and without the fee of a month."""
    plan = version.plan.then if isinstance(version.plan, Minimum) else version.plan
    return PerCall(plan.price) if isinstance(plan, Subscription) else plan


def find_version(versions: Iterable[Version], product: str, consumer: str, day: dt.date) -> Version | None:
    """Return the version in force: the newest of the consumer's own, else the newest for everybody, else None."""
    found = [
        one for one in versions if one.product == product and one.consumer in ("", consumer) and one.valid_from <= day
    ]
    return max(found, key=lambda one: (one.consumer != "", one.valid_from, one.id), default=None)


def _basic(plan: Basic, count: int, days: int) -> tuple[Step, ...]:
    if isinstance(plan, PerCall):
        return _priced("units", count, plan.price)
    if isinstance(plan, Graduated):
        return _graduated(plan.tiers, count)
    if isinstance(plan, Volume):
        tier = next(tier for tier in plan.tiers if tier.up_to is None or count <= tier.up_to)
        return (*_priced("units", count, tier.price), *_flat(tier, count))
    if isinstance(plan, Package):
        begun = -(-max(count - plan.free, 0) // plan.size)
        return _priced("package", begun, plan.price_fen * HAO_PER_FEN)
    if isinstance(plan, Subscription):
        fee = plan.fee_fen * HAO_PER_FEN
        return (Step("fee", 1, fee, fee), *_priced("over", max(count - plan.included, 0), plan.price))
    return _priced("days", days, plan.price_fen * HAO_PER_FEN)


def _graduated(tiers: tuple[Tier, ...], count: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    below = 0
    for tier in tiers:
        inside = max(count - below, 0) if tier.up_to is None else max(min(count, tier.up_to) - below, 0)
        steps += [*_priced("units", inside, tier.price), *_flat(tier, inside)]
        below = below if tier.up_to is None else tier.up_to
    # A net of more reversals than uses falls below the first tier: it is credited at its price.
    return tuple(steps) if count >= 0 else _priced("units", count, tiers[0].price)


def _priced(what: str, quantity: int, unit_hao: int) -> tuple[Step, ...]:
    return (Step(what, quantity, unit_hao, quantity * unit_hao),) if quantity else ()


def _flat(tier: Tier, inside: int) -> tuple[Step, ...]:
    return _priced("flat", 1, tier.flat_fen * HAO_PER_FEN) if inside > 0 and tier.flat_fen else ()


def _check_tiers(tiers: tuple[Tier, ...]) -> None:
    ends = [tier.up_to for tier in tiers[:-1]]
    rising = all(end is not None and end > before for before, end in zip([0, *ends], ends, strict=False))  # type: ignore[operator]
    if not 1 <= len(tiers) <= MAX_TIERS or not rising or tiers[-1].up_to is not None:
        raise Invalid(
            "a price plan is refused: tiers", rule=RULE, field="tiers",
            accepted=f"1 to {MAX_TIERS} tiers that rise, the last one without an end",
        )  # fmt: skip
    for tier in tiers:
        if not 0 <= tier.price <= MAX_HAO or not 0 <= tier.flat_fen <= MAX_FEN:
            raise Invalid("a price plan is refused: tiers", rule=RULE, field="tiers", accepted="prices of 0 or more")


_BOUNDS = {
    "price": MAX_HAO, "price_fen": MAX_FEN, "fee_fen": MAX_FEN, "minimum_fen": MAX_FEN, "included": MAX_UNITS,
    "free": MAX_UNITS, "size": MAX_UNITS,
}  # fmt: skip
TYPES = ("per_call", "graduated", "volume", "package", "subscription", "by_time", "trial", "minimum")
STEPS = ("units", "flat", "package", "fee", "over", "days", "trial", "minimum")
