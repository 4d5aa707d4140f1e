"""Files that pages give: CSV twins, checkpoints that verify, signed records byte for byte."""

from __future__ import annotations

import csv
import io

import pytest

from sandbox.airlock.record import verify_record
from shuzha.ledger.checkpoint import VerifierKey
from shuzha.portal.products import read_price
from shuzha.portal.sheets import csv_response
from shuzha.portal.usage import choose_month
from tests.portal_kit import PortalCity


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def test_a_statements_sheet_sums_to_the_statement(sign_in, city: PortalCity) -> None:
    answer = sign_in("consumer").get(f"/statements/{city.made['statement.bill']}/lines.csv")
    heads, *lines = rows_of(answer.content)
    assert sum(int(line[heads.index("due_fen")]) for line in lines) == 465
    parties = ("tax", "infrastructure", "provider", "platform", "operator")
    assert sum(int(line[heads.index(party)]) for line in lines for party in parties) == 465


def test_a_usage_sheet_holds_own_calls_only(sign_in, city: PortalCity) -> None:
    heads, *lines = rows_of(sign_in("consumer").get(f"/usage.csv?period={city.made['month']}").content)
    assert sum(int(line[heads.index("uses")]) for line in lines) == 124
    assert rows_of(sign_in("registry").get(f"/usage.csv?period={city.made['month']}").content)[1:] == []


@pytest.mark.parametrize(
    ("asked", "with_calls", "shown"),
    [
        ("", {"2026-12", "2027-01"}, "2027-01"),
        ("", {"2026-12"}, "2026-12"),
        ("", {"2026-11"}, "2027-01"),
        ("2025-03", {"2026-12"}, "2025-03"),
        ("2025-13", {"2026-12"}, "2026-12"),
    ],
)
def test_usage_opens_at_the_last_month_with_calls(asked: str, with_calls: set[str], shown: str) -> None:
    month, facts = choose_month(asked, "2027-01", lambda month: (month,) if month in with_calls else ())
    assert month == shown
    assert facts == ((shown,) if shown in with_calls else ())


def test_the_list_of_statements_shows_a_provider_what_is_earned(sign_in, city: PortalCity) -> None:
    page = sign_in("provider", "en").get("/statements").text
    one = city.platform.settlement.list_statements(city.people["provider"])[0]
    assert one.shares["provider"] not in {0, one.due_fen}
    assert f"¥{one.shares['provider'] / 100:.2f}" in page


@pytest.mark.parametrize("log", ["usage", "audit"])
def test_a_downloaded_checkpoint_verifies_with_the_downloaded_key(sign_in, city: PortalCity, log: str) -> None:
    client = sign_in("regulator")
    note = client.get(f"/oversight/checkpoints/{log}").content.decode()
    key = VerifierKey.parse(client.get(f"/oversight/keys/{log}").text.strip())
    assert key.verify(note).size > 0


def test_a_release_record_is_given_byte_for_byte(sign_in, city: PortalCity) -> None:
    answer = sign_in("operator").get(f"/exports/{city.made['export']}/record")
    signed = city.platform.airlock.read_record(city.people["operator"], city.made["export"])
    assert verify_record(answer.content, answer.headers["shuzha-signature"], signed.public_key)


def test_an_outputs_file_leaves_as_a_download(sign_in, city: PortalCity) -> None:
    answer = sign_in("checker1").get(f"/exports/{city.made['export']}/files/by_district")
    assert answer.headers["content-disposition"] == 'attachment; filename="by_district.csv"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert rows_of(answer.content)[0] == ["district_code", "entities"]


def test_no_cell_of_a_sheet_is_taken_as_a_formula() -> None:
    rows = rows_of(csv_response("x", ("a",), [("=1+1",), ("-2",), ("plain",)]).body)
    assert rows == [["a"], ["'=1+1"], ["'-2"], ["plain"]]


@pytest.mark.parametrize(("text", "hao"), [("0.0375", 375), ("1", 10_000), (" 2.5 ", 25_000), ("0", 0)])
def test_a_price_is_read_exactly(text: str, hao: int) -> None:
    assert read_price(text).hao == hao
