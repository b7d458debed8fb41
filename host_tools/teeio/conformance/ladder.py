# SPDX-License-Identifier: Apache-2.0
"""The message ladder of a case: every message and register access in order, with its fields.

Keys and start nonces stay out of it: the decoder hides such fields, and the bytes are left out.
"""

from __future__ import annotations

from typing import Final

from teeio.conformance.model import LadderStep
from teeio.core.enumerate import bdf_name
from teeio.core.ops import (
    Batch,
    CfgRead,
    CfgWrite,
    MemRead,
    MemWrite,
    Op,
    OpResult,
    PortKey,
    PortSecure,
    PortStream,
    Steps,
    T,
)
from teeio.decode.explain import decode_vendor, explain, message_name
from teeio.errors import DecodeError
from teeio.wire.spdm import decode_message
from teeio.wire.spdm_base import Code, Layout
from teeio.wire.spdm_vendor import VendorDefinedRequest, VendorDefinedResponse

MAX_STEPS: Final = 2000
MAX_DATA: Final = 512
_VENDOR_HEADER: Final = 11
_SECRET_IDE_KM: Final = (0x02,)
_SECRET_TDISP: Final = (0x03, 0x86)


def holds_secret(message: bytes) -> bool:
    """A KEY_PROG, or a TDISP message with a start nonce, inside VENDOR_DEFINED."""
    if len(message) < _VENDOR_HEADER + 3 or message[1] not in (0x7E, 0xFE):
        return False
    payload = message[_VENDOR_HEADER:]
    if payload[0] == 0:
        return payload[1] in _SECRET_IDE_KM
    return payload[0] == 1 and payload[2] in _SECRET_TDISP


class Ladder:
    """Collects the rungs of one case; beyond `MAX_STEPS` it keeps silent."""

    def __init__(self) -> None:
        self.steps: list[LadderStep] = []
        self.layout = Layout()

    def add(self, step: LadderStep) -> None:
        """Appends a rung."""
        if len(self.steps) < MAX_STEPS:
            self.steps.append(step)

    def remark(self, text: str) -> None:
        """Appends a line of text."""
        self.add(LadderStep("=", "step", text))

    def message(self, is_request: bool, layer: str, message: bytes | None) -> None:
        """Appends an SPDM message; None is silence."""
        direction = ">" if is_request else "<"
        if message is None:
            self.add(LadderStep(direction, layer, "no answer"))
            return
        name, fields = describe(message, self.layout)
        data = "" if holds_secret(message) else message[:MAX_DATA].hex()
        self.add(LadderStep(direction, layer, name, fields, data))

    def operation(self, op: Op, result: OpResult) -> None:
        """Appends a register, memory or port operation."""
        match op:
            case CfgRead(bdf, offset):
                self.add(LadderStep("<", "config", f"read {bdf_name(bdf)} {offset:#05x}",
                                    {"value": _hex(result)}))
            case CfgWrite(bdf, offset, value):
                self.add(LadderStep(">", "config", f"write {bdf_name(bdf)} {offset:#05x}",
                                    {"value": _hex(value)}))
            case MemRead(address, length, tee):
                self.add(LadderStep("<", "memory", f"read {address:#x} {'T=1' if tee else 'T=0'}",
                                    {"length": length, "data": _hex(result)}))
            case MemWrite(address, data, tee):
                self.add(LadderStep(">", "memory", f"write {address:#x} {'T=1' if tee else 'T=0'}",
                                    {"data": data[:64].hex()}))
            case PortStream(stream, _, enable):
                self.add(LadderStep("=", "port", f"stream {stream} {'on' if enable else 'off'}"))
            case PortKey(stream, is_tx, sub, key_set, _, _):
                self.add(LadderStep("=", "port", f"key of stream {stream}: set {key_set},"
                                    f" {'Tx' if is_tx else 'Rx'}, sub-stream {sub}"))
            case PortSecure(stream):
                self.add(LadderStep("=", "port", f"stream {stream} Secure: {_hex(result)}"))
            case Batch(ops) if isinstance(result, tuple):
                for one, part in zip(ops, result, strict=True):
                    self.operation(one, part)


def _hex(value: OpResult) -> str:
    match value:
        case int():
            return f"{value:#010x}"
        case bytes():
            return value[:64].hex()
    return str(value)


def describe(message: bytes, layout: Layout) -> tuple[str, dict[str, object]]:
    """Name and fields of an SPDM message, with what it carries; never fails."""
    try:
        decoded = decode_message(message, layout, pad=3)
        fields: dict[str, object] = dict(explain(decoded))
        if isinstance(decoded, VendorDefinedRequest | VendorDefinedResponse):
            fields.pop("payload", None)
            inner = decode_vendor(decoded.payload)
            return message_name(inner), {**fields, **explain(inner)}
        return message_name(decoded), fields
    except DecodeError as error:
        code = message[1] if len(message) > 1 else 0
        name = Code(code).name if code in tuple(Code) else f"code {code:#04x}"
        return name, {"unreadable": error.reason}


def observed(steps: Steps[T], ladder: Ladder) -> Steps[T]:
    """Passes operations through and notes those below the messages."""
    result: OpResult = None
    failure: Exception | None = None
    try:
        while True:
            try:
                op = steps.throw(failure) if failure is not None else steps.send(result)
            except StopIteration as stop:
                value: T = stop.value
                return value
            result = failure = None
            try:
                result = yield op
                ladder.operation(op, result)
            except Exception as error:
                failure = error
                ladder.remark(f"{type(op).__name__}: {error}")
    finally:
        steps.close()
