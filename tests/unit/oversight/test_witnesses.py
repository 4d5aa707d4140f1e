"""Witnesses through the platform: registered by the regulator, heard over HTTP, shown to everybody."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi.testclient import TestClient

from shuzha.core.errors import Conflict, Invalid, NotAllowed
from shuzha.ledger.checkpoint import Signer
from shuzha.ledger.layout import NewEntry
from shuzha.ledger.log import Log
from shuzha.ledger.witness import Witness, visit
from shuzha.metering.writer import DEFAULT_ORIGIN, KEY_NAME
from shuzha.server.portal_app import make_app
from tests.portal_kit import PASSWORD, PortalCity


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> PortalCity:
    return PortalCity(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def log(city: PortalCity) -> Iterator[Log]:
    platform = city.platform
    signer = Signer(DEFAULT_ORIGIN, platform.keys.signing_key(KEY_NAME))
    with Log(platform.settings.folder("logs") / "usage", signer, platform.clock) as found:
        found.append([NewEntry(f"usg_{n}", "trial", b'{"secret":"payload"}') for n in range(300)])
        found.publish()
        yield found


@pytest.fixture(scope="module")
def address(city: PortalCity, log: Log) -> Iterator[str]:
    config = uvicorn.Config(make_app(city.platform), host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20)
    while not server.started:
        assert dt.datetime.now(dt.UTC) < deadline
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def regulator(log: Log, address: str, tmp_path_factory: pytest.TempPathFactory) -> Witness:
    witness = Witness.make(tmp_path_factory.mktemp("regulator") / "home", "regulator.example")
    witness.add_log("usage", f"{address}/ledger/usage", log.reader.key.line())
    return witness


def test_a_regulators_witness_cosigns_over_http_and_the_platform_shows_it(
    city: PortalCity, log: Log, regulator: Witness
) -> None:
    service = city.platform.witnesses
    [seen_log] = regulator.logs()
    before = visit(regulator, seen_log)
    assert before.what == "cosigned"
    assert "not published" in before.said, "a witness that nobody registered is not taken"
    made = service.register(city.people["regulator"], (regulator.folder / "witness.pub").read_text())
    assert visit(regulator, seen_log).what == "same"
    [seen] = service.list_seen()
    assert (seen.name, seen.log, seen.size, seen.behind, seen.away) == ("regulator.example", "usage", 300, 0, False)
    log.append([NewEntry(f"usg_{n}", "trial", b"{}") for n in range(300, 420)])
    log.publish()
    assert service.list_seen()[0].behind == 120
    assert (visit(regulator, seen_log).what, visit(regulator, seen_log).said) == ("cosigned", "")
    assert (service.list_seen()[0].size, service.list_seen()[0].behind) == (420, 0)
    with pytest.raises(Conflict, match="registered already"):
        service.register(city.people["regulator"], made.key)


def test_everybody_reads_checkpoint_key_tiles_and_proofs_and_no_payload(city: PortalCity, log: Log) -> None:
    with TestClient(make_app(city.platform), base_url="http://portal.localhost") as client:
        note = client.get("/ledger/usage/checkpoint").text
        size = log.reader.key.verify(note).size
        assert client.get("/ledger/usage/key").text == log.reader.key.line() + "\n"
        tile = client.get("/ledger/usage/tile/0/000")
        assert (tile.status_code, len(tile.content)) == (200, 8192)
        assert "immutable" in tile.headers["cache-control"]
        bundle = client.get("/ledger/usage/tile/entries/000").content
        assert b"usg_0" in bundle
        assert b"secret" not in bundle
        proof = client.get("/ledger/usage/consistency", params={"first": 300}).json()
        assert (proof["first"], proof["second"], proof["checkpoint"]) == (300, size, note)
        assert client.get("/ledger/usage/tile/0/999").status_code == 404
        assert client.get("/ledger/usage/consistency", params={"first": 9, "second": 3}).status_code == 422
        assert client.get("/ledger/usage/consistency", params={"first": 9, "second": 10**9}).status_code == 422
        assert client.get("/ledger/nothing/checkpoint").status_code == 404
        assert client.post("/ledger/usage/cosignatures", content=b"\xff").status_code == 422
        assert client.post("/ledger/usage/cosignatures", content=note.encode()).status_code == 422


def test_a_witness_that_is_away_is_said_and_nothing_is_refused(city: PortalCity, log: Log, regulator: Witness) -> None:
    service, today = city.platform.witnesses, city.today
    log.append([NewEntry("usg_late", "trial", b"{}")])
    log.publish()
    city.advance(today + dt.timedelta(days=1))
    [seen] = service.list_seen()
    assert (seen.behind, seen.away) == (1, True)
    with TestClient(make_app(city.platform), base_url="http://portal.localhost") as client:
        client.post("/sign-in", data={"login": "regulator", "password": PASSWORD, "next": "/"})
        client.cookies.set("shuzha_language", "en")
        page = client.get("/oversight").text
    assert "witness away" in page
    assert "nothing is refused" in page
    log.append([NewEntry("usg_later", "trial", b"{}")])
    assert log.publish()


@pytest.mark.parametrize("login", ["provider", "operator", "consumer", "auditor", "authority"])
def test_only_the_regulator_says_who_is_a_witness(city: PortalCity, regulator: Witness, login: str) -> None:
    service = city.platform.witnesses
    with pytest.raises(NotAllowed):
        service.register(city.people[login], (regulator.folder / "witness.pub").read_text())
    [record] = service.list_witnesses(city.people["regulator"])
    with pytest.raises(NotAllowed):
        service.retire(city.people[login], record.id, "because")


def test_a_retired_witness_is_taken_no_more(city: PortalCity, log: Log, regulator: Witness) -> None:
    service = city.platform.witnesses
    [record] = service.list_witnesses(city.people["regulator"])
    with pytest.raises(Invalid, match="reason"):
        service.retire(city.people["regulator"], record.id, " ")
    service.retire(city.people["regulator"], record.id, "its key went to another office")
    assert service.list_seen() == ()
    [seen_log] = regulator.logs()
    log.append([NewEntry("usg_last", "trial", b"{}")])
    log.publish()
    assert "not published" in visit(regulator, seen_log).said
    with pytest.raises(Invalid, match="not a witness's key"):
        service.register(city.people["regulator"], log.reader.key.line())
