#!/usr/bin/env python3
"""Computes a month's statements again from the usage log and the published inputs: for whoever need not trust us.

One file, Python's standard library only, written apart from the settlement: it shares no arithmetic with it. It takes a
*bundle* (`shuzha statement export`: the inputs of every closing up to a month, and the month's statements) and the
folder of a usage log, whose tree `shuzha ledger verify` checks. The statements are computed from just these and
compared byte for byte; the hash of every signed agreement is taken again.

    python recompute.py BUNDLE.json --usage LOGS/usage        ends with 0: equal · 1: something differs · 2: unreadable
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

CITY = dt.timezone(dt.timedelta(hours=8))
WHOLE = 10_000
COUNTED = ("consumer", "product", "price", "waived", "purpose", "claim", "kind")
Json = dict[str, Any]


class BadInput(Exception):
    """The bundle or the log cannot be read."""


def canonical(value: object) -> bytes:
    """Return the one JSON text of a value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


# --- the usage log ---------------------------------------------------------------------------------------------------


def read_uses(folder: Path, stop: int) -> Iterator[tuple[int, Json]]:
    """Yield (place, event) of the uses below `stop`; refuses a line whose body breaks its commitment."""
    index = 0
    for file in sorted((folder / "entries").iterdir()) if (folder / "entries").is_dir() else []:
        with file.open("rb") as lines:
            for line in lines:
                if index >= stop:
                    return
                head, _, body = line.rstrip(b"\n").partition(b"\t")
                header = json.loads(head)
                if header["index"] != index:
                    raise BadInput(f"entry {index} of the log is not where it belongs")
                if body.rstrip(b" ") != b"-" and header["kind"] == "usage":
                    if hashlib.sha256(body).hexdigest() != header["commitment"]:
                        raise BadInput(f"entry {index} of the log breaks its commitment")
                    yield index, json.loads(body)["payload"]
                index += 1
    if index < stop:
        raise BadInput(f"the log has {index} entries, the statements count {stop}")


def city_day(moment: str) -> dt.date:
    """Return the city's date of an ISO moment."""
    return dt.datetime.fromisoformat(moment).astimezone(CITY).date()


class Uses:
    """The uses of the log by month and by the closing in whose stretch of the log they stand."""

    def __init__(self, folder: Path, cuts: list[int]) -> None:
        self._found: dict[str, list[list[tuple[int, Json, dt.date]]]] = defaultdict(lambda: [[] for _ in cuts])
        stretch = 0
        for index, event in read_uses(folder, cuts[-1] if cuts else 0):
            while index >= cuts[stretch]:
                stretch += 1
            day = city_day(event["occurred_at"])
            # Equal words are kept once: a month has few consumers, products, purposes and claims.
            kept = {name: sys.intern(event[name]) if isinstance(event[name], str) else event[name] for name in COUNTED}
            kept["quantity"] = event.get("quantity", 1)
            self._found[f"{day:%Y-%m}"][stretch].append((index, kept, day))

    def of(self, month: str, closings: int) -> list[tuple[int, Json, dt.date]]:
        """Return the uses of a month that so many closings have counted."""
        return [use for stretch in self._found[month][:closings] for use in stretch] if month in self._found else []

    def is_late(self, month: str, closing: int) -> bool:
        """Return whether a month has uses in the stretch of this closing (counted from 0)."""
        return month in self._found and bool(self._found[month][closing])


# --- money -----------------------------------------------------------------------------------------------------------


def to_fen(hao: int) -> int:
    """Return 毫 as fen, half away from zero."""
    sign = -1 if hao < 0 else 1
    whole, rest = divmod(hao * sign, 100)
    return sign * (whole + (rest >= 50))


def vat_in(gross: int, rate: int) -> int:
    """Return the tax that a sum holds."""
    sign = -1 if gross < 0 else 1
    net = Fraction(gross * sign * WHOLE, WHOLE + rate)
    nearest = (net + Fraction(1, 2)).__floor__()
    return sign * (gross * sign - nearest)


def hamilton(total: int, exact: Mapping[str, Fraction]) -> dict[str, int]:
    """Return whole fen by largest remainder, ties by name."""
    given = {name: part.__floor__() for name, part in exact.items()}
    order = sorted(exact, key=lambda name: (-(exact[name] - given[name]), name))
    for place in range(total - sum(given.values())):
        given[order[place]] += 1
    return given


def steps_of(plan: Json, days: Mapping[dt.date, int]) -> list[Json]:
    """Return the steps of what a month's uses cost under a plan."""
    kind = plan["type"]
    if kind == "trial":
        last = dt.date.fromisoformat(plan["until"])
        early = {day: count for day, count in days.items() if day <= last}
        late = {day: count for day, count in days.items() if day > last}
        first = [_step("trial", sum(early.values()), plan["price"])]
        return _real(first) + (steps_of(plan["then"], late) if late or not days else [])
    if kind == "minimum":
        found = steps_of(plan["then"], days)
        gap = plan["minimum_fen"] * 100 - sum(step["hao"] for step in found)
        return [*found, _step("minimum", 1, gap)] if gap > 0 else found
    count = sum(days.values())
    if kind == "per_call":
        return _real([_step("units", count, plan["price"])])
    if kind == "subscription":
        return [_step("fee", 1, plan["fee_fen"] * 100),
                *_real([_step("over", max(0, count - plan["included"]), plan["price"])])]  # fmt: skip
    if kind == "package":
        packages, left = divmod(max(0, count - plan["free"]), plan["size"])
        return _real([_step("package", packages + (left > 0), plan["price_fen"] * 100)])
    if kind == "by_time":
        used = len([day for day, number in days.items() if number > 0])
        return _real([_step("days", used, plan["price_fen"] * 100)])
    return _tiered(plan, count)


def _tiered(plan: Json, count: int) -> list[Json]:
    tiers = plan["tiers"]
    if plan["type"] == "volume":
        tier = next(tier for tier in tiers if tier["up_to"] is None or count <= tier["up_to"])
        return _real([_step("units", count, tier["price"]), _step("flat", int(count > 0), tier["flat_fen"] * 100)])
    if count < 0:
        return _real([_step("units", count, tiers[0]["price"])])
    found, start = [], 0
    for tier in tiers:
        end = count if tier["up_to"] is None else min(count, tier["up_to"])
        inside = max(0, end - start)
        found += [_step("units", inside, tier["price"]), _step("flat", int(inside > 0), tier["flat_fen"] * 100)]
        start = tier["up_to"] if tier["up_to"] is not None else start
    return _real(found)


def _step(what: str, quantity: int, unit: int) -> Json:
    return {"what": what, "quantity": quantity, "unit_hao": unit, "hao": quantity * unit}


def _real(steps: list[Json]) -> list[Json]:
    return [step for step in steps if step["quantity"] and not (step["what"] == "flat" and not step["unit_hao"])]


def waterfall(income: Json, net: int) -> dict[str, Fraction]:
    """Return what each party is entitled to of a month's income by the agreement's own words."""
    sign, left = (-1, -net) if net < 0 else (1, net)
    got = {party: Fraction(0) for party in income["allocation"]}
    for fixed in income.get("fixed") or ():
        taken = min(left, fixed["amount_fen"])
        got[fixed["party"]] += taken
        left -= taken
    start = 0
    levels = [(band["up_to_fen"], band["allocation"]) for band in income.get("bands") or ()]
    for top, allocation in [*levels, (None, income["allocation"])]:
        part = left if top is None else min(left, top - start)
        for party, points in allocation.items():
            got[party] += Fraction(part * points, WHOLE)
        left, start = left - part, start if top is None else top
    return {party: sign * part for party, part in got.items()}


# --- one month -------------------------------------------------------------------------------------------------------


def pick(versions: Iterable[Json], product: str, consumer: str, day: dt.date) -> Json | None:
    """Return the price version in force, a consumer's own first."""
    known = [
        one for one in versions
        if one["product"] == product and one["consumer"] in ("", consumer) and one["valid_from"] <= day.isoformat()
    ]  # fmt: skip
    return max(known, key=lambda one: (one["consumer"] != "", one["valid_from"], one["id"]), default=None)


class Month:
    """One month computed from uses and inputs."""

    def __init__(self, month: str, products: Json, inputs: Json, vat: int) -> None:
        self.month, self.products, self.inputs, self.vat = month, products, inputs, vat
        self._income: dict[str, int] = {}

    def lines(self, uses: Iterable[tuple[int, Json, dt.date]]) -> list[Json]:
        """Return the lines of the month, in order."""
        groups: dict[tuple[Any, ...], Json] = {}
        for index, event, day in uses:
            version = pick(self.versions(event["product"]), event["product"], event["consumer"], day)
            price = event["price"] if version is None else _call_price(version)
            key = self._key(event["consumer"], event["product"], version, price, self._why(event, version))
            group = groups.setdefault(key, _empty(version))
            count = event.get("quantity", 1)
            group["first"] = index if group["first"] < 0 else group["first"]
            group["last"] = index
            group["count"] += count
            group["days"][day] += count
            group["purposes"][event["purpose"]] += count
            group["claims"][event["claim"]] += count
        self._fees(groups)
        self._income = {}
        return [self._line(key, groups[key]) for key in sorted(groups)]

    def versions(self, product: str) -> list[Json]:
        """Return the price versions of a product, from the inputs that know it."""
        versions: list[Json] = self.products[product]["versions"]
        return versions

    def _key(self, consumer: str, product: str, version: Json | None, price: int, why: str) -> tuple[Any, ...]:
        made = self.products[product]
        return consumer, made["code"], product, made["authorization"], version["id"] if version else "", price, why

    def _why(self, event: Json, version: Json | None) -> str:
        if event["waived"] or (version is not None and event["purpose"] in version["waived_purposes"]):
            return "purpose"
        if event["kind"] == "verification" and event["consumer"] in self.products[event["product"]]["departments"]:
            return "department"
        return "plan" if version is not None and version["waived"] else ""

    def _fees(self, groups: dict[tuple[Any, ...], Json]) -> None:
        first = dt.date.fromisoformat(f"{self.month}-01")
        for product in self.products:
            for consumer in sorted({one["consumer"] for one in self.versions(product)} - {""}):
                version = pick(self.versions(product), product, consumer, first)
                if version is not None and version["consumer"] == consumer and _has_fee(version["plan"]):
                    why = "plan" if version["waived"] else ""
                    key = self._key(consumer, product, version, _call_price(version), why)
                    groups.setdefault(key, _empty(version))

    def _line(self, key: tuple[Any, ...], group: Json) -> Json:
        consumer, code, product, authorization, plan_id, price, why = key
        version, made = group["version"], self.products[product]
        plan = {"type": "per_call", "price": price} if version is None else version["plan"]
        if version is not None and why in ("purpose", "department"):
            plan = plan["then"] if plan["type"] == "minimum" else plan
            plan = {"type": "per_call", "price": plan["price"]} if plan["type"] == "subscription" else plan
        steps = steps_of(plan, group["days"])
        amount = to_fen(sum(step["hao"] for step in steps))
        due = 0 if why else amount
        tax = vat_in(due, self.vat)
        income = made["agreement"]["agreement"]["income"]
        own = made["kind"] == "infrastructure"
        cost = due - tax if own else _mirrored(due - tax, income["infrastructure_rate"])
        rest, before = due - tax - cost, self._income.get(authorization, 0)
        low, high = waterfall(income, before), waterfall(income, before + rest)
        parts = hamilton(rest, {party: high[party] - low[party] for party in high})
        self._income[authorization] = before + rest
        claims = {name: count for name, count in group["claims"].items() if count and name}
        return {
            "consumer": consumer, "product": product, "code": code, "authorization": authorization,
            "price_hao": price, "count": group["count"], "waived": bool(why), "amount_fen": amount, "due_fen": due,
            "parts": {"tax": tax, "infrastructure": cost, **parts}, "first": group["first"], "last": group["last"],
            "tax_fen": tax, "plan": plan_id, "plan_type": version["plan"]["type"] if version else "per_call",
            "waiver": why, "corrects": "",
            "purposes": {name: count for name, count in group["purposes"].items() if count and name},
            "claims": claims, "steps": steps,
            "entries": {} if own else _entries(made, parts.get("provider", 0), claims),
        }  # fmt: skip


def _mirrored(net: int, points: int) -> int:
    """Return the infrastructure's part, by largest remainder of the absolute sum."""
    size = abs(net)
    exact = {"infrastructure": Fraction(size * points, WHOLE), "rest": Fraction(size * (WHOLE - points), WHOLE)}
    return hamilton(size, exact)["infrastructure"] * (-1 if net < 0 else 1)


def _entries(made: Json, part: int, claims: Mapping[str, int]) -> dict[str, int]:
    entries: Json = made["entries"]
    sum_of_weights = sum(one["weight"] for one in entries.values())
    usual = {
        name: Fraction(one["weight"], sum_of_weights) if sum_of_weights else Fraction(1, len(entries))
        for name, one in entries.items()
    }
    answered: dict[str, Fraction] = {name: Fraction(0) for name in entries}
    for claim, count in claims.items():
        columns = made["claims"].get(claim) or {}
        for name, share in usual.items() if not columns else columns.items():
            if count > 0:
                of = Fraction(share) / (sum(columns.values()) if columns else 1)
                answered[name] = answered.get(name, Fraction(0)) + count * of
    total = sum(answered.values())
    exact = {name: part * weight / total for name, weight in answered.items()} if total else {
        name: part * share for name, share in usual.items()
    }  # fmt: skip
    return {name: fen for name, fen in hamilton(part, exact).items() if fen or len(exact) == 1}


def _empty(version: Json | None) -> Json:
    return {"first": -1, "last": -1, "count": 0, "days": defaultdict(int), "purposes": defaultdict(int),
            "claims": defaultdict(int), "version": version}  # fmt: skip


def _call_price(version: Json) -> int:
    return int(version["plan"]["price"]) if version["plan"]["type"] == "per_call" else 0


def _has_fee(plan: Json) -> bool:
    return plan["type"] in ("subscription", "minimum") or (plan["type"] == "trial" and _has_fee(plan["then"]))


def difference(month: str, before: list[Json], after: list[Json]) -> list[Json]:
    """Return the lines by which a settled month is corrected."""
    old, new = {_line_key(line): line for line in before}, {_line_key(line): line for line in after}
    found = []
    for key in sorted(old.keys() | new.keys()):
        one, other = new.get(key), old.get(key)
        if one == other:
            continue
        base = dict(one or other or {})
        for name in ("count", "amount_fen", "due_fen", "tax_fen"):
            base[name] = (one or {}).get(name, 0) - (other or {}).get(name, 0)
        for name in ("parts", "purposes", "claims", "entries"):
            here, there = (one or {}).get(name, {}), (other or {}).get(name, {})
            made = {each: here.get(each, 0) - there.get(each, 0) for each in here.keys() | there.keys()}
            base[name] = made if name == "parts" else {each: value for each, value in made.items() if value}
        found.append({**base, "corrects": month, "steps": []})
    return found


def _line_key(line: Json) -> tuple[Any, ...]:
    names = ("consumer", "code", "product", "authorization", "plan", "price_hao", "waiver")
    return tuple(line[name] for name in names)


# --- statements ------------------------------------------------------------------------------------------------------


class Ledger:
    """All closings in their order; keeps what is held back between them."""

    def __init__(self, closings: list[Json], uses: Uses, rates: Mapping[str, int]) -> None:
        self.closings, self.uses, self.rates = closings, uses, rates
        self.held: dict[str, Json] = {}

    def statements(self, place: int) -> list[Json]:
        """Return the documents of the closing at a place; places must be asked in their order."""
        inputs = self.closings[place]
        own = _products(inputs)
        lines = Month(inputs["period"], own, inputs, inputs["vat"]["rate"]).lines(
            self.uses.of(inputs["period"], place + 1)
        )
        products = dict(own)
        for earlier in range(place):
            month = self.closings[earlier]["period"]
            if self.uses.is_late(month, place):
                then = {**own, **_products(self.closings[earlier])}
                made = Month(month, then, inputs, self.rates[month])
                lines += difference(month, made.lines(self.uses.of(month, place)),
                                    made.lines(self.uses.of(month, place + 1)))  # fmt: skip
                products = {**then, **products}
        head = {"period": inputs["period"], "inputs": digest(inputs), "log_size": inputs["log_size"]}
        bills = [_sheet(head, "bill", name, [line for line in lines if line["consumer"] == name])
                 for name in sorted({line["consumer"] for line in lines})]  # fmt: skip
        shared, moved = [], {}
        for name in sorted({line["authorization"] for line in lines}):
            mine = [line for line in lines if line["authorization"] == name]
            moved[name] = self._cap(inputs, name, mine)
            shared.append(_sheet(head, "authorization", name, mine, moved[name], self.held.get(name)))
        return [*bills, *shared, *_providers(head, lines, moved, products)]

    def _cap(self, inputs: Json, authorization: str, lines: list[Json]) -> list[Json]:
        covering = [cap for cap in inputs["caps"] if cap["authorization"] == authorization
                    and cap["first_period"] <= inputs["period"] <= cap["last_period"]]  # fmt: skip
        if not covering:
            return []
        cap = max(covering, key=lambda one: (one["first_period"], one["id"]))
        permitted = cap["cost_fen"] - cap["subsidy_fen"] + cap["profit_fen"] + cap["tax_fen"]
        old = self.held.get(authorization) or {"held": {}, "held_entries": {}}
        fresh = old.get("cap") != cap["id"]
        earned = _total({k: v for k, v in line["parts"].items() if k != "tax"} for line in lines)
        income = sum(earned.values())
        counted = income + (sum(old["held"].values()) if fresh else old["counted_fen"])
        given = max(0, min(permitted, counted))
        kept = income - (given - (0 if fresh else old["released_fen"]))
        entries = _total(line["entries"] for line in lines)
        by, by_entry = (earned, entries) if kept > 0 else (old["held"], old["held_entries"])
        parts = _in_proportion(kept, by)
        by_entries = _in_proportion(parts.get("provider", 0), by_entry)
        held, held_entries = dict(old["held"]), dict(old["held_entries"])
        if kept:
            held, held_entries = _total([held, parts]), _total([held_entries, by_entries])
        self.held[authorization] = {
            "cap": cap["id"], "permitted_fen": permitted, "counted_fen": counted, "released_fen": given,
            "held": held, "held_entries": held_entries,
        }  # fmt: skip
        if not kept:
            return []
        made = {name: -fen for name, fen in parts.items()} | {"carried": kept}
        kind = "held" if kept > 0 else "released"
        taken = {name: -fen for name, fen in by_entries.items()}
        return [{"kind": kind, "amount_fen": kept, "parts": made, "entries": taken}]


def _in_proportion(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    usable = {name: weight for name, weight in weights.items() if weight > 0} or dict.fromkeys(weights, 1)
    if not usable or not total:
        return {}
    whole = sum(usable.values())
    return hamilton(total, {name: Fraction(total * weight, whole) for name, weight in usable.items()})


def _total(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for name, fen in part.items():
            found[name] = found.get(name, 0) + fen
    return found


def _providers(head: Json, lines: list[Json], moved: Mapping[str, list[Json]], products: Json) -> list[Json]:
    owners = {entry: one["provider"] for made in products.values() for entry, one in made["entries"].items()}
    sheets: dict[str, tuple[list[Json], list[Json]]] = defaultdict(lambda: ([], []))
    for line in lines:
        usual = products[line["product"]]["provider"]
        if products[line["product"]]["kind"] == "infrastructure":
            continue
        for owner, entries in _by_owner(line["entries"] or {"": 0}, owners, usual).items():
            sheets[owner][0].append({**line, "parts": {"provider": sum(entries.values())}, "entries": entries})
    for authorization, adjustments in moved.items():
        ours = [one for one in products.values() if one["authorization"] == authorization]
        usual = next((one["provider"] for one in ours if one["kind"] != "infrastructure"), "")
        for adjustment in adjustments:
            for owner, entries in _by_owner(adjustment["entries"], owners, usual).items():
                fen = sum(entries.values())
                made = {"kind": adjustment["kind"], "amount_fen": -fen, "parts": {"provider": fen}, "entries": entries}
                sheets[owner][1].append(made)
    return [_sheet(head, "provider", name, *sheets[name]) for name in sorted(sheets)]


def _by_owner(entries: Mapping[str, int], owners: Mapping[str, str], usual: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for entry, fen in entries.items():
        found.setdefault(owners.get(entry, usual), {})[entry] = fen
    return found


def _sheet(
    head: Json, kind: str, subject: str, lines: list[Json], moved: list[Json] | None = None, cap: Json | None = None
) -> Json:
    adjustments = moved or []
    return {
        "type": "shuzha/statement/2", "number": f"{head['period']}/{kind}/{subject}", "kind": kind, "subject": subject,
        **head, "lines": lines, "amount_fen": sum(line["amount_fen"] for line in lines),
        "due_fen": sum(line["due_fen"] for line in lines),
        "waived_fen": sum(line["amount_fen"] - line["due_fen"] for line in lines),
        "tax_fen": sum(line["tax_fen"] for line in lines),
        "shares": _total([*(line["parts"] for line in lines), *(one["parts"] for one in adjustments)]),
        "adjustments": adjustments, "cap": cap,
    }  # fmt: skip


def _products(inputs: Json) -> Json:
    """Return each product with its agreement's document, prices and departments beside it."""
    return {
        name: {
            **made, "agreement": inputs["agreements"][made["authorization"]]["document"],
            "versions": [one for one in inputs["versions"] if one["product"] == name],
            "departments": inputs["departments"],
        }
        for name, made in inputs["products"].items()
    }  # fmt: skip


# --- the comparison --------------------------------------------------------------------------------------------------


def verify(bundle: Json, usage: Path) -> list[str]:
    """Return what differs between a bundle's statements and what log and inputs give; nothing where all is equal."""
    if bundle.get("type") != "shuzha/settlement-bundle/1":
        raise BadInput("this is no settlement bundle")
    closings: list[Json] = bundle["closings"]
    wrong = []
    for number, inputs in enumerate(closings, 1):
        if inputs["sequence"] != number or inputs["closed"] != [one["period"] for one in closings[: number - 1]]:
            wrong.append(f"the closing of {inputs['period']} does not follow those before it")
        if inputs["log_from"] != (closings[number - 2]["log_size"] if number > 1 else 0):
            wrong.append(f"the closing of {inputs['period']} leaves entries of the log out or counts them twice")
        for name, agreed in inputs["agreements"].items():
            if digest(agreed["document"]) != agreed["sha256"]:
                wrong.append(f"the agreement of {name} is not the one that was signed")
    if wrong:
        return wrong
    uses = Uses(usage, [one["log_size"] for one in closings])
    ledger = Ledger(closings, uses, {one["period"]: one["vat"]["rate"] for one in closings})
    computed = [ledger.statements(place) for place in range(len(closings))][-1] if closings else []
    texts = {one["number"]: canonical(one) for one in computed}
    given = {one["number"]: canonical(one) for one in bundle["statements"]}
    wrong += [f"statement {name} is not what the log and the inputs give" for name in sorted(given)
              if texts.get(name) != given[name]]  # fmt: skip
    return wrong + [f"statement {name} is missing" for name in sorted(texts.keys() - given.keys())]


def main(arguments: list[str] | None = None) -> int:
    """Run the recomputation; return the exit code."""
    parser = argparse.ArgumentParser(description="Compute a month's statements again and compare them.")
    parser.add_argument("bundle", type=Path, help="the file of `shuzha statement export`")
    parser.add_argument("--usage", type=Path, required=True, help="the folder of the usage log")
    options = parser.parse_args(arguments)
    try:
        bundle = json.loads(options.bundle.read_text("utf-8"))
        wrong = verify(bundle, options.usage)
    except (BadInput, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"unreadable: {error}\n")
        return 2
    for line in wrong:
        sys.stdout.write(f"{line}\n")
    if not wrong:
        sys.stdout.write(f"equal: {len(bundle['statements'])} statements, byte for byte\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
