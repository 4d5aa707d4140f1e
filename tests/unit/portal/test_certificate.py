"""The certificate as a page: every part in both languages, and nothing of the data taken for markup."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import polars as pl
import pytest

from desensitize import measure_risk
from desensitize.certificate import report
from shuzha.portal.charts import Band, Change, bands_of, draw_changes, draw_sizes
from shuzha.portal.i18n import Speech
from shuzha.portal.paper import Paper, render_paper
from tests.portal_kit import PortalCity

LANGUAGES = ("zh_Hans", "en")


def made(frame: pl.DataFrame, columns: list[str], original: pl.DataFrame | None = None, **options) -> dict:  # type: ignore[no-untyped-def, type-arg]
    return json.loads(json.dumps(report(frame, measure_risk(frame, columns, **options), original)))


RISKY = pl.DataFrame({"town": ["a", "b", "b", "c", "c", "c"] * 4 + ["z"], "who": range(25)})


@pytest.mark.parametrize("language", LANGUAGES)
def test_release_page_shows_and_gives_its_certificate(sign_in, city: PortalCity, language: str) -> None:
    client = sign_in("analyst", language)
    path = f"/releases/{city.made['release']}"
    shown = client.get(path)
    assert shown.text.count('class="chart"') == 2
    assert "style=" not in shown.text
    assert {"zh_Hans": "实测风险符合限值", "en": "The measured risk meets its limits"}[language] in shown.text
    certificate = client.get(f"{path}/certificate")
    known = json.loads(certificate.content)
    assert known["desensitization"]["measured_before"]["rows"] >= known["desensitization"]["measured"]["rows"]
    assert known["desensitization"]["output"]["content_sha256"] in shown.text
    alone = client.get(f"{path}/certificate.html")
    assert alone.headers["Content-Disposition"].endswith('.html"')
    assert certificate.headers["Shuzha-Signature"] in alone.text
    assert city.platform.releases.public_key.hex() in alone.text
    assert re.findall(r'(?:src|href)="|@import|https?://|<script', alone.text) == []


def test_no_certificate_for_a_stranger(sign_in, city: PortalCity) -> None:
    assert sign_in("consumer").get(f"/releases/{city.made['release']}/certificate.html").status_code == 404


@pytest.mark.parametrize("language", LANGUAGES)
def test_report_of_a_risky_table_says_so(language: str) -> None:
    html = render_paper(made(RISKY, ["town"]), language, name="towns.csv")
    assert {"zh_Hans": "实测风险超出限值", "en": "The measured risk exceeds its limits"}[language] in html
    assert 'class="seal bad"' in html
    assert 'class="risky"' in html


def test_names_from_the_data_are_no_markup() -> None:
    evil = '<img src=x onerror="1">'
    frame = RISKY.rename({"town": evil})
    html = render_paper(made(frame, [evil], frame), "en", name=evil)
    assert "<img" not in html
    assert "&lt;img" in html


def test_page_without_measured_risk_is_whole() -> None:
    content = {
        "kind": "desensitization certificate", "version": 2,
        "engine": {"desensitize": "0", "polars": "0", "python": "0"},
        "input": None, "output": {"rows": 3, "columns": [{"name": "a", "type": "String"}], "content_sha256": None},
        "done": {"plan": {"columns": {"a": {"technique": "generalize", "rows": [["x", "y"]] * 60}}}},
    }  # fmt: skip
    html = render_paper(content, "en", name="x")
    assert "No risk was measured" in html
    assert "rows …" in html
    assert 'class="chart"' not in html


def test_population_and_joined_risk_are_shown() -> None:
    content = made(RISKY, ["town"], population_size=1_000)
    content["joined"] = {"releases": ["a", "b"], "by": "who", "measured": {
        "people": 25, "shared": 20, "risk": {"smallest_class": 2, "meets": False},
    }}  # fmt: skip
    html = render_paper(content, "en", name="x")
    assert "estimated for 1,000 people" in html
    assert "the smallest class is then 2, of 25 people 20 are in all" in html
    content["joined"]["measured"] = None
    assert "share no pseudonym" in render_paper(content, "en", name="x")


def test_charts_are_well_formed_and_say_their_figures() -> None:
    speech = Speech("en")
    bands = bands_of([["1", 2, 2], ["2", 1, 2], ["3-4", 1, 4], ["5-9", 0, 0], ["1000+", 0, 0]])
    assert bands[2] == Band("3-4", 3, 1, 0.5)
    assert bands[4].low == 1000
    sizes = draw_sizes(speech, bands, (), 3)
    changes = draw_changes(speech, [Change("highest <1>", 1.0, 0.2, 0.2), Change("x", None, 0.5, 0.3)])
    for chart in (sizes, changes):
        root = ElementTree.fromstring(chart)
        assert root.get("role") == "img"
        assert "style" not in chart
    rectangles = [each.get("class") for each in ElementTree.fromstring(sizes).iter("rect")]
    assert rectangles.count("risky") == 2
    assert rectangles.count("after") == 1
    assert "1: 25%; 2: 25%; 3-4: 50%" in str(ElementTree.fromstring(sizes).get("aria-label"))
    assert "highest <1>: 100% → 20%; x: 50%" in str(ElementTree.fromstring(changes).get("aria-label"))
    circles = [each.get("class") for each in ElementTree.fromstring(changes).iter("circle")]
    assert circles == ["ring", "after", "risky"]


def test_smallest_accepted_class_follows_the_threshold() -> None:
    for threshold, k in ((0.05, 20), (0.2, 5), (1 / 3, 3), (1.0, 1)):
        assert Paper({"limits": {"threshold": threshold}}).smallest_accepted == k


@pytest.mark.parametrize(
    ("given", "rows", "said"),
    [
        ({"content_hmac_sha256": "ab12", "content_sha256": None}, 500, "under the release&#39;s key"),
        ({"content_sha256": "cd34"}, 500, "cd34"),
        ({"content_sha256": None}, 500, "the input could be guessed from it and the release"),
        ({"content_sha256": None}, 5, "withheld: too few rows"),
    ],
)
def test_page_says_which_hash_of_the_input_it_shows(given: dict[str, str | None], rows: int, said: str) -> None:
    """Certificates of version 1 have the plain hash; later ones have it under the release's key, or not at all."""
    content = made(RISKY, ["town"])
    html = render_paper(content | {"input": {"rows": rows, "columns": []} | given}, "en", name="towns")
    assert said in html
    assert ("under the release&#39;s key" in html) == ("content_hmac_sha256" in given)
