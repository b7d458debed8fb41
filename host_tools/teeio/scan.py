# SPDX-License-Identifier: Apache-2.0
"""Looks for secrets in records of the link: every 8-byte window of every secret, in both orders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from teeio.check.packets import parse
from teeio.errors import LocalError

WINDOW = 8


@dataclass(frozen=True, slots=True)
class Leak:
    """A window of a secret was found.

    Attributes:
        kind: name of the secret it belongs to.
        where: name of the record.
        offset: byte offset in the record.
    """

    kind: str
    where: str
    offset: int


def windows(secret: bytes) -> Iterator[bytes]:
    """Each window as it is, backwards, and with the bytes of each 32-bit word backwards.

    Windows with fewer than four different byte values say nothing and are left out.
    """
    for at in range(len(secret) - WINDOW + 1):
        window = secret[at:at + WINDOW]
        if len(set(window)) < 4:
            continue
        yield window
        yield window[::-1]
        yield window[3::-1] + window[:3:-1]


def find_secrets(secrets: Mapping[str, Iterable[bytes]],
                 records: Mapping[str, bytes]) -> list[Leak]:
    """Search all records for all secrets.

    Args:
        secrets: values by kind; each has at least 8 bytes.
        records: bytes by name.

    Raises:
        LocalError: a secret is too short to search for.
    """
    table: dict[bytes, str] = {}
    for kind, values in secrets.items():
        for value in values:
            if len(value) < WINDOW:
                raise LocalError(f"{kind}: {len(value)} bytes are too short to search for")
            table.update(dict.fromkeys(windows(value), kind))
    out = []
    for name, data in records.items():
        for at in range(len(data) - WINDOW + 1):
            kind_found = table.get(data[at:at + WINDOW])
            if kind_found is not None:
                out.append(Leak(kind_found, name, at))
    return out


def reassemble(trace: str) -> dict[str, bytes]:
    """Payloads of a TLP trace, joined in order per direction, TLP type and requester.

    What was cut into packets is whole again: DMA buffers, and DOE objects that crossed the
    mailbox one 32-bit word at a time.
    """
    out: dict[str, bytearray] = {}
    for packet in parse(trace).packets:
        sender = "device" if packet.from_device else "host"
        name = f"{sender} {packet.kind:02x} {packet.requester:04x}"
        out.setdefault(name, bytearray()).extend(packet.payload)
    return {name: bytes(data) for name, data in out.items()}
