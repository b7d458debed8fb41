# SPDX-License-Identifier: Apache-2.0
"""Replays captured SPDM conversations for tests.

The captures and the secrets that belong to them are found through the environment variable
TEEIO_VECTORS; without it the tests that need them are skipped.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from teeio.wire.doe import DoeObject, DoeType
from teeio.wire.pcap import LINKTYPE_DOE, PcapFile
from teeio.wire.reader import decode_whole


def vectors_directory() -> Path:
    """The directory of the captures; skips the calling test if it is not there."""
    name = os.environ.get("TEEIO_VECTORS")
    if not name:
        pytest.skip("TEEIO_VECTORS is not set: no captured sessions to check against")
    path = Path(name)
    if not path.is_dir():
        pytest.skip(f"TEEIO_VECTORS={name} is not a directory")
    return path


@dataclass(frozen=True)
class Exchange:
    """One request and its response, as DOE objects."""

    request: DoeObject
    response: DoeObject


@dataclass(frozen=True)
class Capture:
    version: str
    exchanges: tuple[Exchange, ...]
    sessions: tuple[dict[str, Any], ...] = field(repr=False)


def load(version: str) -> Capture:
    """Reads `spdm-<version>.pcap` and `.json`. DOE exchanges alternate strictly."""
    directory = vectors_directory()
    pcap = PcapFile.decode((directory / f"spdm-{version}.pcap").read_bytes())
    assert pcap.link_type == LINKTYPE_DOE
    objects = [decode_whole(DoeObject.decode, item.data, strict=True) for item in pcap.records]
    assert len(objects) % 2 == 0
    exchanges = tuple(Exchange(objects[at], objects[at + 1]) for at in range(0, len(objects), 2))
    assert all(item.request.object_type == item.response.object_type for item in exchanges)
    assert {item.request.object_type for item in exchanges} == {
        DoeType.DISCOVERY,
        DoeType.SPDM,
        DoeType.SECURED_SPDM,
    }
    notes = json.loads((directory / f"spdm-{version}.json").read_text())
    return Capture(version, exchanges, tuple(notes["sessions"]))
