"""What the jailer can be asked, and nothing else: one type a verb, each with the fields that it may have.

The platform asks with `PlatformCall`, a workspace's own server with `ServerCall`. No field names a path, a mount, a
user, a limit or a command: those come from the workspace's specification, which is written from the grant's record.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Workspace = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?\Z")]
KernelId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
HubVariable = Annotated[str, msgspec.Meta(pattern=r"\AJUPYTERHUB_[A-Z0-9_]{1,60}\Z")]
HubValue = Annotated[str, msgspec.Meta(max_length=8192, pattern=r"\A[^\0]*\Z")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Verb(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", tag=str.lower):
    """A request; its `verb` is the name of its class in lower case."""


class Prepare(Verb, frozen=True):
    """Make a workspace's home and the folders of its sockets, and answer its server's requests."""

    workspace: Workspace


class Start(Verb, frozen=True):
    """Start the server of a workspace for `account`, with the hub's variables for it."""

    workspace: Workspace
    account: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    variables: Annotated[dict[HubVariable, HubValue], msgspec.Meta(max_length=64)]


class Poll(Verb, frozen=True):
    """Say whether the server of a workspace lives."""

    workspace: Workspace


class Stop(Verb, frozen=True):
    """End the server and the kernels of a workspace, after at most `grace` seconds."""

    workspace: Workspace
    grace: Annotated[float, msgspec.Meta(ge=0, le=30)] = 2.0


class Read(Verb, frozen=True):
    """Give a notebook as it is saved now."""

    workspace: Workspace
    name: Annotated[str, msgspec.Meta(max_length=4096, pattern=r"\A[^\0]*\Z")]


class Destroy(Verb, frozen=True):
    """Take the home of a workspace away for good; one that can still be started keeps it."""

    workspace: Workspace


class Measure(Verb, frozen=True):
    """Say what a workspace's server and kernels use now and have used."""

    workspace: Workspace


class Account(Verb, frozen=True):
    """Say what a workspace has used in all, what its home takes up, and which limits it ran into."""

    workspace: Workspace


class Describe(Verb, frozen=True):
    """Say what this host holds workspaces to, and what it cannot."""


PlatformCall = Prepare | Start | Poll | Stop | Read | Destroy | Measure | Account | Describe


class KernelPorts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of a kernel's five sockets in its folder."""

    shell_port: Port
    iopub_port: Port
    stdin_port: Port
    control_port: Port
    hb_port: Port


class KernelStart(Verb, frozen=True, tag="start"):
    """Start a kernel of the workspace; `directory` is where it stands, below the folder of notebooks."""

    kernel: KernelId
    key: Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z_-]{16,128}\Z")]
    ports: KernelPorts
    directory: Annotated[str, msgspec.Meta(max_length=512, pattern=r"\A[^\0]*\Z")] | None = None


class KernelPoll(Verb, frozen=True, tag="poll"):
    """Say whether a kernel lives."""

    kernel: KernelId


class KernelStop(Verb, frozen=True, tag="stop"):
    """End a kernel and everything that it started."""

    kernel: KernelId


ServerCall = KernelStart | KernelPoll | KernelStop


def name_verbs(calls: Any) -> str:
    """Return the verbs of a union of requests, as a refusal names them."""
    return ", ".join(str(one.__struct_config__.tag) for one in calls.__args__)
