"""Sending a body to somebody else's address, without being led to our own: what SSRF would need.

The host is resolved once, every address that it has must be allowed, and the connection is made to that very address:
no second look-up can change it. No redirect is followed, no proxy is asked, little is read of the answer.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

SECONDS = 10.0
READ_BYTES = 4_096
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back: the status, 0 where nothing did and `why` says why; `milliseconds` from look-up to answer."""

    status: int
    milliseconds: int
    why: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the receiver took it: any 2xx."""
        return 200 <= self.status < 300


def read_private(text: str) -> tuple[Network, ...]:
    """Return the networks of the setting `webhook_networks`; raises ValueError for what is none."""
    return tuple(ipaddress.ip_network(each.strip(), strict=False) for each in text.split(",") if each.strip())


def is_allowed(address: Address, private: Sequence[Network]) -> bool:
    """Return whether a body may be sent to this address: a public one, or one of the allowed private networks."""
    inner = _inside(address)
    # What NAT64's prefix stands for is the address inside it; all else must hold by itself as well.
    asked: tuple[Address, ...] = inner if address in _NAT64 else (address, *inner)
    return all(any(one in network for network in private) or _is_public(one) for one in asked)


def send(url: str, headers: Mapping[str, str], body: bytes, private: Sequence[Network] = ()) -> Outcome:
    """Post a body and return what came of it; never raises for what the other side does."""
    started = time.monotonic()

    def took() -> int:
        return int((time.monotonic() - started) * 1000)

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        address = _choose(host, port, private)
    except OSError:
        return Outcome(0, took(), "the host's name leads nowhere")
    if address is None:
        return Outcome(0, took(), "the host's name leads to an address that is not allowed")
    secure = parts.scheme == "https"
    connection = _Pinned(host, port, str(address), started + SECONDS, ssl.create_default_context() if secure else None)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with contextlib.closing(connection):
            connection.request("POST", path, body, dict(headers))
            answer = connection.getresponse()
            answer.read(READ_BYTES)
            return Outcome(answer.status, took()) if not connection.was_cut else _late(took())
    except TimeoutError:
        return _late(took())
    except ssl.SSLError:
        return Outcome(0, took(), "the host's certificate does not hold")
    except (OSError, http.client.HTTPException) as error:
        if connection.was_cut:
            return _late(took())
        return Outcome(0, took(), f"the connection failed: {type(error).__name__}")


def _late(milliseconds: int) -> Outcome:
    return Outcome(0, milliseconds, f"no answer within {SECONDS:.0f} s")


def _choose(host: str, port: int, private: Sequence[Network]) -> Address | None:
    """Return the first address of a host where all of them are allowed, else None."""
    try:
        found = [ipaddress.ip_address(host)]
    except ValueError:
        known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in known]
    return found[0] if found and all(is_allowed(one, private) for one in found) else None


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inside(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(one for one in found if one is not None)


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was chosen before, under the host's own name."""

    def __init__(self, host: str, port: int, address: str, until: float, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=SECONDS)
        self._address = address
        self._until = until
        self._context = context
        self._watch: threading.Timer | None = None
        self.was_cut = False

    def connect(self) -> None:
        """Connect to the chosen address; with TLS the certificate must be the host name's."""
        left = max(0.1, self._until - time.monotonic())
        plain = socket.socket(socket.AF_INET6 if ":" in self._address else socket.AF_INET, socket.SOCK_STREAM)
        plain.settimeout(left)
        try:
            plain.connect((self._address, self.port))
            self.sock = self._context.wrap_socket(plain, server_hostname=self.host) if self._context else plain
        except BaseException:
            plain.close()
            raise
        # Each read has its own time-out; the whole has this one, or a server that drips would hold the worker.
        self._watch = threading.Timer(left, self._cut)
        self._watch.daemon = True
        self._watch.start()

    def close(self) -> None:
        """Close the connection and stop watching it."""
        if self._watch is not None:
            self._watch.cancel()
        super().close()

    def _cut(self) -> None:
        self.was_cut = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
