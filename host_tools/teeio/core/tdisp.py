# SPDX-License-Identifier: Apache-2.0
"""TDISP from the requester's side (PCIe Base 6.x, chapter 11): one generator per verb.

`check` judges an answer against its request; every verb sends over a `Channel` (a secured session
in its application phase), judges, and returns what the answer says. A TDISP_ERROR is a
`PeerRefused` with the error code; anything that breaks the protocol is a `PeerError`.
"""

from __future__ import annotations

from typing import Final, TypeVar

from teeio.core.ide_km import Channel
from teeio.core.ops import Steps
from teeio.core.secret import Secret
from teeio.errors import DecodeError, LocalError, PeerError, PeerRefused
from teeio.wire.reader import decode_whole
from teeio.wire.tdisp import (
    MAX_REPORT_BYTES,
    TDISP_VERSION_10,
    BindP2pStreamRequest,
    BindP2pStreamResponse,
    DeviceInterfaceReport,
    DeviceInterfaceState,
    GetDeviceInterfaceReport,
    GetDeviceInterfaceState,
    GetTdispCapabilities,
    GetTdispVersion,
    InterfaceId,
    LockInterfaceRequest,
    LockInterfaceResponse,
    SetMmioAttributeRequest,
    SetMmioAttributeResponse,
    StartInterfaceRequest,
    StartInterfaceResponse,
    StopInterfaceRequest,
    StopInterfaceResponse,
    TdispCapabilities,
    TdispError,
    TdispMessage,
    TdispVersion,
    TdiState,
    UnbindP2pStreamRequest,
    UnbindP2pStreamResponse,
    VdmRequest,
    VdmResponse,
    error_name,
    from_payload,
)
from teeio.wire.tdisp_report import PAGE_BYTES, InterfaceReport, MmioRange

CLAUSE: Final = "PCIe Base 6.x, chapter 11"
DEFAULT_PORTION_BYTES: Final = 0x400
MANDATORY_CODES: Final = 0xFE

R = TypeVar("R", bound=TdispMessage)


def check(request: TdispMessage, payload: bytes, expects: type[R]) -> R:
    """Judges an answer: layout, version, interface id, code.

    Args:
        request: what was sent.
        payload: vendor-defined payload of the answer (protocol byte first).
        expects: class of the good answer.

    Raises:
        PeerRefused: for a TDISP_ERROR.
        PeerError: if the answer breaks the protocol.
    """
    try:
        answer = from_payload(payload)
    except DecodeError as error:
        raise PeerError(
            error.reason, clause=f"{CLAUSE}: {expects.CODE.name} layout", data=payload
        ) from None
    if answer.version != TDISP_VERSION_10:
        raise PeerError(
            f"TDISP version {answer.version:#04x}",
            clause=f"{CLAUSE}: TDISPVersion",
            data=payload,
        )
    if answer.interface.function_id != request.interface.function_id:
        raise PeerError(
            f"answer for interface {answer.interface}, asked {request.interface}",
            clause=f"{CLAUSE}: INTERFACE_ID equals that of the request",
            data=payload,
        )
    if isinstance(answer, TdispError):
        raise PeerRefused(
            f"{request.CODE.name} for {request.interface}: {error_name(answer.error)}",
            clause=f"{CLAUSE}: TDISP_ERROR",
            wire_code=answer.error,
            data=payload,
        )
    if not isinstance(answer, expects):
        raise PeerError(
            f"{answer.CODE.name} in answer to {request.CODE.name}",
            clause=f"{CLAUSE}: response code",
            data=payload,
        )
    return answer


def _ask(channel: Channel, request: TdispMessage, expects: type[R]) -> Steps[R]:
    payload = yield from channel.request(request.to_payload())
    return check(request, payload, expects)


def version(channel: Channel, interface: InterfaceId) -> Steps[TdispVersion]:
    """GET_TDISP_VERSION; 1.0 must be among the entries."""
    answer = yield from _ask(channel, GetTdispVersion(interface=interface), TdispVersion)
    if TDISP_VERSION_10 not in answer.entries:
        raise PeerError(
            f"versions {[f'{item:#04x}' for item in answer.entries]} without 1.0",
            clause=f"{CLAUSE}: TDISP_VERSION",
            data=answer.encode(),
        )
    return answer


def capabilities(channel: Channel, interface: InterfaceId) -> Steps[TdispCapabilities]:
    """GET_TDISP_CAPABILITIES; the seven mandatory requests must be supported."""
    answer = yield from _ask(channel, GetTdispCapabilities(interface=interface), TdispCapabilities)
    problem = ""
    if answer.requests & MANDATORY_CODES != MANDATORY_CODES:
        problem = f"REQ_MSGS_SUPPORTED {answer.requests:#x} lacks mandatory requests"
    elif answer.num_req_this == 0 or answer.num_req_all == 0:
        problem = "NUM_REQ_THIS and NUM_REQ_ALL must not be 0"
    if problem:
        raise PeerError(problem, clause=f"{CLAUSE}: TDISP_CAPABILITIES", data=answer.encode())
    return answer


def lock(
    channel: Channel,
    interface: InterfaceId,
    *,
    stream_id: int,
    flags: int = 0,
    mmio_reporting_offset: int = 0,
    bind_p2p_address_mask: int = 0,
) -> Steps[Secret]:
    """LOCK_INTERFACE: CONFIG_UNLOCKED to CONFIG_LOCKED; returns the start nonce.

    Args:
        stream_id: default stream of the interface.
        flags: only such as the device reports as supported.
        mmio_reporting_offset: bytes, added to every reported address; multiple of 4 KiB.
    """
    if mmio_reporting_offset % PAGE_BYTES:
        raise LocalError("the MMIO reporting offset is not a multiple of 4 KiB")
    request = LockInterfaceRequest(
        interface=interface,
        flags=flags,
        stream_id=stream_id,
        mmio_reporting_offset=mmio_reporting_offset,
        bind_p2p_address_mask=bind_p2p_address_mask,
    )
    return Secret((yield from _ask(channel, request, LockInterfaceResponse)).nonce)


def report_bytes(
    channel: Channel, interface: InterfaceId, *, portion_bytes: int = DEFAULT_PORTION_BYTES
) -> Steps[bytes]:
    """GET_DEVICE_INTERFACE_REPORT in portions: the whole report as bytes."""
    if not 1 <= portion_bytes <= MAX_REPORT_BYTES:
        raise LocalError("portion_bytes is outside 1..65535")
    report = b""
    total: int | None = None
    while total is None or len(report) < total:
        length = portion_bytes if total is None else min(portion_bytes, total - len(report))
        request = GetDeviceInterfaceReport(interface=interface, offset=len(report), length=length)
        answer = yield from _ask(channel, request, DeviceInterfaceReport)
        report += answer.portion
        end = len(report) + answer.remainder
        good = 1 <= len(answer.portion) <= length and end <= MAX_REPORT_BYTES
        if not good or total not in (None, end):
            raise PeerError(
                f"portion of {len(answer.portion)} bytes with {answer.remainder} to follow, "
                f"asked for {length} at {request.offset}",
                clause=f"{CLAUSE}: PORTION_LENGTH, REMAINDER_LENGTH",
                data=answer.encode(),
            )
        total = end
    return report


def parse_report(report: bytes) -> InterfaceReport:
    """Parses a whole report and checks what holds for every device.

    Raises:
        PeerError: if it is malformed, or its ranges are empty or not in ascending BAR order.
    """
    clause = f"{CLAUSE}: device interface report"
    try:
        parsed = decode_whole(InterfaceReport.decode, report)
    except DecodeError as error:
        raise PeerError(error.reason, clause=clause, data=report) from None
    ids = [item.range_id for item in parsed.ranges]
    if ids != sorted(ids):
        raise PeerError(f"range ids {ids} are not ascending", clause=clause, data=report)
    for item in parsed.ranges:
        if item.pages == 0 or item.first_page + item.pages > 1 << 52:
            raise PeerError(
                f"range of {item.pages} pages at page {item.first_page:#x}",
                clause=clause,
                data=report,
            )
    return parsed


def report(
    channel: Channel, interface: InterfaceId, *, portion_bytes: int = DEFAULT_PORTION_BYTES
) -> Steps[InterfaceReport]:
    """GET_DEVICE_INTERFACE_REPORT in portions, parsed."""
    whole = yield from report_bytes(channel, interface, portion_bytes=portion_bytes)
    return parse_report(whole)


def state(channel: Channel, interface: InterfaceId) -> Steps[TdiState]:
    """GET_DEVICE_INTERFACE_STATE."""
    request = GetDeviceInterfaceState(interface=interface)
    answer = yield from _ask(channel, request, DeviceInterfaceState)
    try:
        return TdiState(answer.state)
    except ValueError:
        raise PeerError(
            f"TDI_STATE {answer.state} does not exist",
            clause=f"{CLAUSE}: DEVICE_INTERFACE_STATE",
            data=answer.encode(),
        ) from None


def start(channel: Channel, interface: InterfaceId, nonce: Secret) -> Steps[None]:
    """START_INTERFACE: CONFIG_LOCKED to RUN with the nonce of LOCK."""
    request = StartInterfaceRequest(interface=interface, nonce=nonce.reveal())
    yield from _ask(channel, request, StartInterfaceResponse)


def stop(channel: Channel, interface: InterfaceId) -> Steps[None]:
    """STOP_INTERFACE: any state to CONFIG_UNLOCKED."""
    yield from _ask(channel, StopInterfaceRequest(interface=interface), StopInterfaceResponse)


def bind_p2p_stream(channel: Channel, interface: InterfaceId, stream_id: int) -> Steps[None]:
    """BIND_P2P_STREAM, in RUN only."""
    request = BindP2pStreamRequest(interface=interface, stream_id=stream_id)
    yield from _ask(channel, request, BindP2pStreamResponse)


def unbind_p2p_stream(channel: Channel, interface: InterfaceId, stream_id: int) -> Steps[None]:
    """UNBIND_P2P_STREAM, in RUN only."""
    request = UnbindP2pStreamRequest(interface=interface, stream_id=stream_id)
    yield from _ask(channel, request, UnbindP2pStreamResponse)


def set_mmio_attribute(
    channel: Channel, interface: InterfaceId, mmio_range: MmioRange
) -> Steps[None]:
    """SET_MMIO_ATTRIBUTE, in RUN only."""
    request = SetMmioAttributeRequest(interface=interface, mmio_range=mmio_range)
    yield from _ask(channel, request, SetMmioAttributeResponse)


def vendor_message(
    channel: Channel, interface: InterfaceId, registry_id: int, vendor_id: bytes, data: bytes
) -> Steps[bytes]:
    """VDM_REQUEST; returns the vendor data of the answer."""
    request = VdmRequest(
        interface=interface, registry_id=registry_id, vendor_id=vendor_id, data=data
    )
    answer = yield from _ask(channel, request, VdmResponse)
    if (answer.registry_id, answer.vendor_id) != (registry_id, vendor_id):
        raise PeerError(
            "vendor message of another registry or vendor",
            clause=f"{CLAUSE}: VDM_RESPONSE",
            data=answer.encode(),
        )
    return answer.data
