# SPDX-License-Identifier: Apache-2.0
"""Names of messages for logs: only what can be told from their clear parts."""

from __future__ import annotations

from teeio.wire.doe import DoeType
from teeio.wire.ide_km import IdeKmObject
from teeio.wire.spdm_base import Code
from teeio.wire.tdisp import TdispCode


def object_name(data: bytes) -> str:
    """Name of a DOE data object: what it carries, if that is in clear."""
    if len(data) < 8 or data[:2] != b"\x01\x00":
        return "data object"
    kind = data[2]
    if kind == DoeType.SPDM and len(data) >= 10:
        try:
            return f"SPDM {Code(data[9]).name}"
        except ValueError:
            return f"SPDM {data[9]:02x}h"
    if kind == DoeType.SECURED_SPDM:
        return "secured record"
    return "DOE Discovery" if kind == DoeType.DISCOVERY else f"data object {kind}"


def payload_name(payload: bytes) -> str:
    """Name of a PCI-SIG vendor-defined payload (protocol byte first): IDE_KM or TDISP."""
    try:
        if payload[0] == 0:
            return IdeKmObject(payload[1]).name
        return TdispCode(payload[2]).name
    except (ValueError, IndexError):
        return "vendor-defined"
