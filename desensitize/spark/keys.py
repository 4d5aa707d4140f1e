"""Where executors find the key of a release: each reads it itself, so that none is ever sent to them.

What Spark sends, shows and stores (serialized tasks, the plan, the web page, event logs, shuffle files) holds a key
source, which says where the key lies, and the key's fingerprint, with which an executor makes sure that it read the
same key as the driver.
"""

from __future__ import annotations

import importlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from desensitize.errors import InvalidPlan
from desensitize.transform.keys import SecretKey


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The bytes of a file at this absolute path on the driver and on every host that runs tasks, closed to others."""

    path: str

    def __post_init__(self) -> None:
        if not Path(self.path).is_absolute():
            raise InvalidPlan("the path of a key file is absolute: executors work in folders of their own")

    def read(self) -> bytes:
        """Return the key. Refuses a file that is missing, and one that its group or others can read."""
        path = Path(self.path)
        if not path.is_file():
            raise InvalidPlan(f"key file `{path.name}` is missing on this host")
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidPlan(f"key file `{path.name}` is open to others on this host; give it mode 0600")
        return path.read_bytes()


@dataclass(frozen=True, slots=True)
class KeyVariable:
    """The key in hexadecimal, in an environment variable that each host's own service sets.

    `spark.executorEnv` is not the place: Spark stores its settings in the event log and shows them.
    """

    name: str

    def read(self) -> bytes:
        """Return the key. Refuses a variable that is not set, and one that is not hexadecimal."""
        try:
            return bytes.fromhex(os.environ[self.name])
        except KeyError:
            raise InvalidPlan(f"environment variable `{self.name}` is not set on this host") from None
        except ValueError:
            raise InvalidPlan(f"environment variable `{self.name}` is not hexadecimal") from None


@dataclass(frozen=True, slots=True)
class KeyFunction:
    """What a function without arguments returns: `package.module:function`, such as a client of a key service."""

    target: str

    def __post_init__(self) -> None:
        module, _, function = self.target.partition(":")
        if not module or not function.isidentifier():
            raise InvalidPlan("a key function is named as `package.module:function`")

    def read(self) -> bytes:
        """Return the key. Refuses a function that is not there, and one that returns something else than bytes."""
        module, _, function = self.target.partition(":")
        try:
            made = getattr(importlib.import_module(module), function)()
        except (ImportError, AttributeError):
            raise InvalidPlan(f"key function `{self.target}` is not there on this host") from None
        if not isinstance(made, bytes):
            raise InvalidPlan(f"key function `{self.target}` must return bytes")
        return made


KeySource: TypeAlias = KeyFile | KeyVariable | KeyFunction


def read_key(source: object, fingerprint: str | None = None) -> SecretKey | None:
    """Return the key that lies at `source`, None for None.

    Refuses a key itself, and one with another fingerprint than this.
    """
    if source is None:
        return None
    if not isinstance(source, KeySource):
        raise InvalidPlan(
            "on Spark the key is a KeyFile, KeyVariable or KeyFunction: a key itself would be sent around"
        )
    key = SecretKey(source.read())
    if fingerprint is not None and key.fingerprint() != fingerprint:
        raise InvalidPlan("the key on this host is another one than the driver's")
    return key
