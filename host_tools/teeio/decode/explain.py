# SPDX-License-Identifier: Apache-2.0
"""Messages as plain data: every field under its name, codes and flags with their names too."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Final

from teeio.decode.entry import Plain
from teeio.errors import DecodeError
from teeio.wire import ide_km, tdisp
from teeio.wire.opaque import read_supported_versions, read_version_selection
from teeio.wire.spdm_base import (
    Aead,
    AlgType,
    BaseAsym,
    BaseHash,
    Cap,
    Code,
    Dhe,
    ErrorCode,
    MeasurementHash,
    OpaqueFormat,
    SpdmMessage,
)
from teeio.wire.spdm_connection import AlgStruct
from teeio.wire.spdm_measurements import MeasurementBlock, Measurements, MeasurementType
from teeio.wire.spdm_session import KeyExchange, KeyExchangeRsp, KeyUpdateOp
from teeio.wire.spdm_vendor import PciProtocol
from teeio.wire.tdisp_report import InterfaceInfo, RangeAttribute

HIDDEN: Final = "hidden"

_NAMES: Final[dict[tuple[str, str], type[enum.IntEnum] | type[enum.IntFlag]]] = {
    ("GetCapabilities", "flags"): Cap,
    ("Capabilities", "flags"): Cap,
    ("NegotiateAlgorithms", "base_asym"): BaseAsym,
    ("NegotiateAlgorithms", "base_hash"): BaseHash,
    ("NegotiateAlgorithms", "other_params"): OpaqueFormat,
    ("Algorithms", "base_asym"): BaseAsym,
    ("Algorithms", "base_hash"): BaseHash,
    ("Algorithms", "measurement_hash"): MeasurementHash,
    ("Algorithms", "other_params"): OpaqueFormat,
    ("AlgStruct", "alg_type"): AlgType,
    ("SpdmError", "error"): ErrorCode,
    ("RespondIfReady", "request_code"): Code,
    ("KeyUpdate", "operation"): KeyUpdateOp,
    ("KeyUpdateAck", "operation"): KeyUpdateOp,
    ("MeasurementBlock", "value_type"): MeasurementType,
    ("KpAck", "status"): ide_km.KpAckStatus,
    ("TdispError", "error"): tdisp.TdispErrorCode,
    ("DeviceInterfaceState", "state"): tdisp.TdiState,
    ("LockInterfaceRequest", "flags"): tdisp.LockFlag,
    ("TdispCapabilities", "lock_flags"): tdisp.LockFlag,
    ("InterfaceReport", "interface_info"): InterfaceInfo,
    ("MmioRange", "attributes"): RangeAttribute,
}
_ALGORITHMS: Final[dict[int, type[enum.IntFlag]]] = {
    AlgType.DHE: Dhe, AlgType.AEAD: Aead, AlgType.REQ_BASE_ASYM: BaseAsym}


def message_name(message: object) -> str:
    """The name that the standard gives a message."""
    match message:
        case SpdmMessage():
            return message.CODE.name
        case tdisp.TdispMessage():
            return f"TDISP {message.CODE.name}"
        case _:
            kind = getattr(message, "KIND", None)
            return f"IDE_KM {kind.name}" if kind is not None else type(message).__name__


def explain(value: Any, *, show_keys: bool = False) -> dict[str, Plain]:
    """All fields of a decoded message.

    Args:
        value: a dataclass of `wire`.
        show_keys: show fields that hold keys and nonces of a TDI (repr=False) too.
    """
    out: dict[str, Plain] = {}
    kind = type(value).__name__
    for item in dataclasses.fields(value):
        content = getattr(value, item.name)
        if item.name.startswith("reserved") and not content:
            continue
        if not item.repr and not show_keys:
            out[item.name] = HIDDEN
            continue
        names = _NAMES.get((kind, item.name))
        if isinstance(value, AlgStruct) and item.name == "mask":
            names = _ALGORITHMS.get(value.alg_type)
        out[item.name] = _plain(content, names, show_keys)
    out |= _more(value)
    return out


def _plain(content: Any, names: type[enum.IntEnum] | type[enum.IntFlag] | None,
           show_keys: bool) -> Plain:
    match content:
        case bool() | None:
            return content
        case int() if names is not None:
            return f"{content:#x} {_named(content, names)}".strip()
        case int() | str():
            return int(content) if isinstance(content, int) else content
        case bytes():
            return content.hex()
        case tuple() | list():
            return [_plain(item, None, show_keys) for item in content]
        case ide_km.KeyInfo() | tdisp.InterfaceId():
            return str(content)
    if dataclasses.is_dataclass(content):
        return explain(content, show_keys=show_keys)
    return str(content)


def _named(value: int, names: type[enum.IntEnum] | type[enum.IntFlag]) -> str:
    if issubclass(names, enum.IntFlag):
        known = [flag.name or "" for flag in names if flag & value]
        return "|".join(known)
    return names(value).name if value in tuple(names) else "unknown"


def _more(value: Any) -> dict[str, Plain]:
    """What is inside byte fields of a message."""
    try:
        match value:
            case KeyExchange():
                return {"secured_versions": [f"{v:#06x}" for v in
                                             read_supported_versions(value.opaque)]}
            case KeyExchangeRsp():
                return {"secured_version": f"{read_version_selection(value.opaque):#06x}"}
            case Measurements() if value.block_count:
                blocks: tuple[MeasurementBlock, ...] = value.blocks()
                return {"blocks": [explain(block) for block in blocks]}
    except DecodeError as error:
        return {"unreadable": error.reason}
    return {}


def decode_vendor(payload: bytes) -> object:
    """The IDE_KM object or TDISP message in a PCI-SIG vendor-defined payload.

    Raises:
        DecodeError: it is neither, or malformed.
    """
    if payload[:1] == bytes([PciProtocol.IDE_KM]):
        return ide_km.decode_message(payload)
    return tdisp.from_payload(payload)
