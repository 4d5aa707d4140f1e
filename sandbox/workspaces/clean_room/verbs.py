"""What is said on the jailer's socket for rooms: one connection a room, which ends with the connection.

    {"verb": "room", "room": "room-0a1b2c3d4e", "key": "…"}  ->  {"say": "open", "box": "/run/…"}
                                                             <-  {"say": "ended", "code": 0}   when the jail ends
    {"verb": "end"}                                          ->  {"say": "settled"}            the outbox is as it stays
    (closed)                                                     the room and its box are gone

What cannot be done is answered `{"say": "refused", "message": …}`, and the connection is closed.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from sandbox.workspaces.clean_room.specs import ROOM_NAME

ROOMS_SOCKET = "rooms.sock"
ROOMS_FOLDER = "rooms"
MOST_LINE_BYTES = 16 * 1024


class OpenRoom(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="room"):
    """Open the room of this name, and start its kernel for the holder of `key`."""

    room: Annotated[str, msgspec.Meta(pattern=ROOM_NAME)]
    key: Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z_-]{16,128}\Z")]


class EndRoom(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag="end"):
    """End everything in the room, so that its outbox can be read."""


class Opened(msgspec.Struct, frozen=True, tag_field="say", tag="open"):
    """The room runs; `box` holds its sockets and its outbox."""

    box: str


class Ended(msgspec.Struct, frozen=True, tag_field="say", tag="ended"):
    """The room's jail has ended by itself."""

    code: int


class Settled(msgspec.Struct, frozen=True, tag_field="say", tag="settled"):
    """Nothing runs in the room, and its outbox is the asker's."""


class Refused(msgspec.Struct, frozen=True, tag_field="say", tag="refused"):
    """The room cannot be opened; the message says why."""

    message: str


Said = Opened | Ended | Settled | Refused
