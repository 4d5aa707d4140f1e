"""The demonstration's hands: people who call the platform API over a real socket, as a browser or a program would."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from shuzha.core.errors import ShuzhaError, Unavailable
from shuzha.core.settings import Settings

_CHUNK = 1 << 20
_KINDS = {".csv": "text/csv", ".parquet": "application/vnd.apache.parquet"}


class Refused(ShuzhaError):
    """The platform answered with a problem; `status` and `code` are the answer's."""

    code = "refused"

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail", "refused")), code=str(problem.get("code", "refused")))
        self.status = status
        self.rule = problem.get("rule")
        self.accepted = problem.get("accepted")


class Portal:
    """The portal's address, where people sign in."""

    def __init__(self, settings: Settings) -> None:
        self._base = f"http://{settings.bind}:{settings.portal_port}/api/v1"

    def sign_in(self, login: str, password: str) -> Person:
        """Return the person of this account, signed in."""
        with httpx.Client(base_url=self._base, timeout=30) as client:
            answer = client.post("/session", json={"login": login, "password": password})
        return Person(self._base, login, str(_read(answer)["token"]))


class Person:
    """One signed-in person and the calls that they make; a refusal is raised."""

    def __init__(self, base: str, login: str, token: str) -> None:
        self.login = login
        self._client = httpx.Client(base_url=base, timeout=120, headers={"Authorization": f"Bearer {token}"})

    def get(self, path: str, **query: str) -> Any:
        """Return the answer to a reading."""
        return _read(self._client.get(path, params=query))

    def post(self, path: str, body: Any = None) -> Any:
        """Return the answer to a verb."""
        return _read(self._client.post(path, json=body))

    def put(self, path: str, body: Any) -> Any:
        """Return the answer to a PUT."""
        return _read(self._client.put(path, json=body))

    def patch(self, path: str, body: Any) -> Any:
        """Return the answer to a change."""
        return _read(self._client.patch(path, json=body))

    def upload(self, path: str, file: Path, **query: str) -> Any:
        """Return the answer to a file, streamed."""
        headers = {"Content-Type": _KINDS.get(file.suffix, "application/octet-stream")}
        query = {"file": file.name, **query}
        return _read(self._client.post(path, params=query, content=_pieces(file), headers=headers))

    def attach(self, path: str, content: bytes, **query: str) -> Any:
        """Return the answer to a small file sent as it is."""
        headers = {"Content-Type": "application/octet-stream"}
        return _read(self._client.post(path, params=query, content=content, headers=headers))

    def wait(self, path: str, done: Callable[[Any], bool], what: str, seconds: float = 120) -> Any:
        """Return a thing's answer once `done` is true of it; raises Unavailable when that takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.get(path)
            if done(answer):
                return answer
            if time.monotonic() > deadline:
                raise Unavailable(f"{what} took more than {seconds:.0f} s")
            time.sleep(0.1)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while piece := source.read(_CHUNK):
            yield piece


def _read(answer: httpx.Response) -> Any:
    body = answer.json() if answer.content else None
    if answer.is_error:
        raise Refused(answer.status_code, body if isinstance(body, dict) else {})
    return body
