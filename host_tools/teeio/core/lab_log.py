# SPDX-License-Identifier: Apache-2.0
"""Secrets for a laboratory key log: where the core hands them out, and the lines of the file.

The core does so only if it was given a `LabLog`; `RequesterConfig.lab_log` is None by default.

    # any comment
    DHE_SECRET 0x00011234 <hex>       ECDH shared secret of the session with this id
    IDE_KEY 1 K0 Rx PR <hex>          Stream ID, KeyInfo of KEY_PROG, AES-256 key
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Protocol

from teeio.core.secret import Secret
from teeio.errors import DecodeError
from teeio.wire.ide_km import KeyDirection, KeyInfo, SubStream

_DHE: Final = re.compile(r"DHE_SECRET 0x([0-9a-f]{8}) ((?:[0-9a-f]{2}){32,66})")
_IDE: Final = re.compile(r"IDE_KEY (\d{1,3}) K([01]) (Rx|Tx) (PR|NPR|CPL) ([0-9a-f]{64})")


class LabLog(Protocol):
    """Takes the secrets of one session."""

    def shared_secret(self, session_id: int, secret: Secret) -> None:
        """The ECDH shared secret (X coordinate, big endian) of a session."""

    def ide_key(self, stream_id: int, key_info: KeyInfo, key: Secret) -> None:
        """A key that is about to be programmed, as KEY_PROG names it."""


@dataclass(frozen=True, slots=True)
class KeyLog:
    """The content of a key log.

    Attributes:
        shared_secrets: (session id, ECDH shared secret), as noted.
        ide_keys: (Stream ID, KeyInfo, key), as noted.
    """

    shared_secrets: tuple[tuple[int, Secret], ...] = ()
    ide_keys: tuple[tuple[int, KeyInfo, Secret], ...] = field(default=())


def shared_secret_line(session_id: int, secret: Secret) -> str:
    """One line of a key log, with its newline."""
    return f"DHE_SECRET {session_id:#010x} {secret.reveal().hex()}\n"


def ide_key_line(stream_id: int, key_info: KeyInfo, key: Secret) -> str:
    """One line of a key log, with its newline."""
    return f"IDE_KEY {stream_id} {key_info} {key.reveal().hex()}\n"


def parse_key_log(text: str) -> KeyLog:
    """Reads a key log.

    Raises:
        DecodeError: names the line that is none; its content is not shown.
    """
    secrets: list[tuple[int, Secret]] = []
    keys: list[tuple[int, KeyInfo, Secret]] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if found := _DHE.fullmatch(line):
            secrets.append((int(found[1], 16), Secret(bytes.fromhex(found[2]))))
        elif found := _IDE.fullmatch(line):
            info = KeyInfo(key_set=int(found[2]), direction=KeyDirection[found[3].upper()],
                           sub_stream=SubStream[found[4]])
            keys.append((int(found[1]), info, Secret(bytes.fromhex(found[5]))))
        else:
            raise DecodeError(f"line {number} of the key log is neither DHE_SECRET nor IDE_KEY")
    return KeyLog(tuple(secrets), tuple(keys))
