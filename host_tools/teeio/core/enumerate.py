# SPDX-License-Identifier: Apache-2.0
"""Enumeration: find the functions, size and place their BARs, walk their capabilities.

Offsets and bits: PCIe Base 7.5 and 7.7 to 7.9; IDE and DOE capabilities 7.9.24 and 7.9.26.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from teeio.core.ops import CfgRead, CfgWrite, Steps, batch, cfg_read, cfg_write
from teeio.errors import LocalError, PeerError, TransportError

CAP_PM = 0x01
CAP_PCIE = 0x10
CAP_MSIX = 0x11
ECAP_AER = 0x0001
ECAP_SERIAL = 0x0003
ECAP_DOE = 0x002E
ECAP_IDE = 0x0030

DEVCAP_FLR = 1 << 28
DEVCAP_TEE_IO = 1 << 30
COMMAND_MSE = 1 << 1
COMMAND_BME = 1 << 2

BAR_WINDOW = 0x80_0000_0000
MAX_CAPABILITIES = 64
FLR_CYCLES = 4_800_000  # 100 ms at 48 MHz


def bdf_name(bdf: int) -> str:
    """bb:dd.f of a Requester ID."""
    return f"{bdf >> 8:02x}:{bdf >> 3 & 0x1F:02x}.{bdf & 7}"


@dataclass(slots=True)
class Function:
    """One function found.

    Attributes:
        bdf: Requester ID.
        vendor, device, class_code, revision: identity.
        bar0: base address assigned.
        bar0_size: bytes.
        caps: offset of each standard capability by ID.
        ecaps: offset of each extended capability by ID.
    """

    bdf: int
    vendor: int
    device: int
    class_code: int
    revision: int
    bar0: int = 0
    bar0_size: int = 0
    caps: dict[int, int] = field(default_factory=dict)
    ecaps: dict[int, int] = field(default_factory=dict)
    device_capabilities: int = 0

    @property
    def number(self) -> int:
        """Function number."""
        return self.bdf & 7

    @property
    def tee_io(self) -> bool:
        """TEE-IO Supported (Device Capabilities bit 30)."""
        return bool(self.device_capabilities & DEVCAP_TEE_IO)


def probe(bdf: int) -> Steps[Function | None]:
    """Read the identity and capability lists of one function; None if it is absent."""
    ids = yield from cfg_read(bdf, 0x00)
    if ids & 0xFFFF == 0xFFFF:
        return None
    classes = yield from cfg_read(bdf, 0x08)
    function = Function(bdf, ids & 0xFFFF, ids >> 16, classes >> 8, classes & 0xFF)
    status = yield from cfg_read(bdf, 0x04)
    if status >> 16 & 0x10:
        at = (yield from cfg_read(bdf, 0x34)) & 0xFC
        while at:
            header = yield from cfg_read(bdf, at)
            _note(function.caps, header & 0xFF, at, bdf)
            at = header >> 8 & 0xFC
    at = 0x100
    while at:
        header = yield from cfg_read(bdf, at)
        if header in (0, 0xFFFF_FFFF):
            break
        _note(function.ecaps, header & 0xFFFF, at, bdf)
        at = header >> 20
    if CAP_PCIE in function.caps:
        function.device_capabilities = yield from cfg_read(bdf, function.caps[CAP_PCIE] + 4)
    return function


def _note(table: dict[int, int], identity: int, at: int, bdf: int) -> None:
    if at in table.values() or len(table) >= MAX_CAPABILITIES:
        raise PeerError(f"{bdf_name(bdf)}: the capability list loops at {at:#x}",
                        clause="PCIe Base 7.5.1.1.11")
    table.setdefault(identity, at)


def size_bar0(function: Function) -> Steps[None]:
    """Size BAR0 (64-bit) with decoding off."""
    bdf = function.bdf
    command = (yield from cfg_read(bdf, 0x04)) & 0xFFFF
    yield from cfg_write(bdf, 0x04, command & ~(COMMAND_MSE | COMMAND_BME))
    low = yield from cfg_read(bdf, 0x10)
    if low & 7 != 4:
        raise PeerError(f"{bdf_name(bdf)}: BAR0 is not a 64-bit memory BAR",
                        clause="PCIe Base 7.5.1.2.1", data=low.to_bytes(4, "little"))
    yield from cfg_write(bdf, 0x10, 0xFFFF_FFFF)
    yield from cfg_write(bdf, 0x14, 0xFFFF_FFFF)
    low = yield from cfg_read(bdf, 0x10)
    high = yield from cfg_read(bdf, 0x14)
    mask = (high << 32 | low) & ~0xF
    function.bar0_size = (~mask + 1) & (1 << 64) - 1
    if function.bar0_size < 4096 or function.bar0_size & function.bar0_size - 1:
        raise PeerError(f"{bdf_name(bdf)}: BAR0 sizes to {function.bar0_size:#x} bytes",
                        clause="PCIe Base 7.5.1.2.1")


def enumerate_device(bus: int, *, window: int = BAR_WINDOW, window_bytes: int | None = None,
                     max_payload: int = 256) -> Steps[list[Function]]:
    """Find every function of device 0 on `bus`, place BAR0s from `window` up and enable decoding.

    `window_bytes` bounds the window; without it there is no bound.

    Returns:
        The functions, number 0 first.

    Raises:
        TransportError: nothing answers at function 0.
        PeerError: a register breaks a rule.
        LocalError: the BARs do not fit the window.
    """
    functions: list[Function] = []
    for number in range(8):
        function = yield from probe(bus << 8 | number)
        if function is None:
            if number == 0:
                raise TransportError("no device answers at function 0: is the link up?")
            continue
        functions.append(function)
    at = window
    for function in functions:
        yield from size_bar0(function)
        at = (at + function.bar0_size - 1) & ~(function.bar0_size - 1)
        function.bar0 = at
        at += function.bar0_size
        if window_bytes is not None and at > window + window_bytes:
            raise LocalError(f"{bdf_name(function.bdf)}: BAR0 of {function.bar0_size:#x} bytes does"
                             " not fit the window of its port: make the windows larger")
        yield from cfg_write(function.bdf, 0x10, function.bar0 & 0xFFFF_FFFF)
        yield from cfg_write(function.bdf, 0x14, function.bar0 >> 32)
        if CAP_PCIE in function.caps:
            control = function.caps[CAP_PCIE] + 8
            value = (yield from cfg_read(function.bdf, control)) & 0xFFFF
            supported = function.device_capabilities & 7
            code = min(supported, max_payload.bit_length() - 8)
            value = value & ~0x00E0 | code << 5
            yield from cfg_write(function.bdf, control, value)
        yield from cfg_write(function.bdf, 0x04, COMMAND_MSE | COMMAND_BME)
    return functions


def read_config_space(function: Function, length: int = 4096) -> Steps[bytes]:
    """Read the configuration space of one function as bytes (little-endian DWs)."""
    values = yield from batch([CfgRead(function.bdf, offset) for offset in range(0, length, 4)])
    return b"".join(v.to_bytes(4, "little") for v in values if isinstance(v, int))


def restore_bars(functions: list[Function]) -> Steps[None]:
    """Write BARs and Command again after a reset."""
    for function in functions:
        yield from batch([
            CfgWrite(function.bdf, 0x10, function.bar0 & 0xFFFF_FFFF),
            CfgWrite(function.bdf, 0x14, function.bar0 >> 32),
            CfgWrite(function.bdf, 0x04, COMMAND_MSE | COMMAND_BME),
        ])
