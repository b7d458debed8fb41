# SPDX-License-Identifier: Apache-2.0
"""IDE key management from the requester's side (PCIe Base 6.x, 6.33.3).

`check_*` judge an answer against its request; the generator verbs send, receive and judge over a
`Channel`, i.e. a secured session.

Order of a key programming that every known responder takes: KEY_PROG for Rx PR, NPR, CPL, then Tx;
K_SET_GO for Rx; K_SET_GO for Tx; then Enable in the stream control registers. Rx and Tx are as
seen by the device: its Rx keys are the root port's Tx keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

from teeio.core.ops import Steps
from teeio.core.secret import Secret
from teeio.errors import DecodeError, LocalError, PeerError, PeerRefused
from teeio.wire.ide_km import (
    IFV_INITIAL,
    IdeKmMessage,
    KeyDirection,
    KeyInfo,
    KeyProg,
    KGoStopAck,
    KpAck,
    KpAckStatus,
    KSetGo,
    KSetStop,
    Query,
    QueryResp,
    SubStream,
    decode_message,
)

CLAUSE: Final = "PCIe Base 6.33.3"

StreamKeys: TypeAlias = Mapping[tuple[KeyDirection, SubStream], Secret]
"""One key for each direction and sub-stream, six in all."""


class Channel(Protocol):
    """A secured session that carries PCI-SIG vendor-defined payloads."""

    def request(self, payload: bytes) -> Steps[bytes]:
        """Sends a payload (protocol byte first) and returns that of the answer."""


def key_infos(key_set: int, direction: KeyDirection) -> tuple[KeyInfo, ...]:
    """PR, NPR, CPL of one direction."""
    return tuple(KeyInfo(key_set=key_set, direction=direction, sub_stream=sub) for sub in SubStream)


def _decode(payload: bytes, expects: type[IdeKmMessage]) -> IdeKmMessage:
    try:
        message = decode_message(payload)
    except DecodeError as error:
        raise PeerError(error.reason, clause=f"{CLAUSE}: object layout", data=payload) from None
    if not isinstance(message, expects):
        raise PeerError(
            f"{message.KIND.name} in answer to a request for {expects.KIND.name}",
            clause=f"{CLAUSE}: object id",
            data=payload,
        )
    return message


def _require_echo(payload: bytes, *fields: tuple[str, object, object]) -> None:
    for name, sent, got in fields:
        if sent != got:
            raise PeerError(
                f"{name} {got} is not the {sent} that was sent",
                clause=f"{CLAUSE}: {name} is echoed",
                data=payload,
            )


def check_query_resp(request: Query, payload: bytes) -> QueryResp:
    """Judges the answer to QUERY.

    Raises:
        PeerError: if it is malformed or answers another request.
    """
    answer = _decode(payload, QueryResp)
    assert isinstance(answer, QueryResp)
    _require_echo(payload, ("PortIndex", request.port_index, answer.port_index))
    if answer.max_port_index < answer.port_index:
        raise PeerError(
            f"MaxPortIndex {answer.max_port_index} is below PortIndex {answer.port_index}",
            clause=f"{CLAUSE}: QUERY_RESP MaxPortIndex",
            data=payload,
        )
    return answer


def check_kp_ack(request: KeyProg, payload: bytes) -> KpAck:
    """Judges the answer to KEY_PROG.

    Raises:
        PeerRefused: if the status is not success.
        PeerError: if it is malformed or answers another request.
    """
    answer = _decode(payload, KpAck)
    assert isinstance(answer, KpAck)
    _require_echo(
        payload,
        ("StreamID", request.stream_id, answer.stream_id),
        ("KeyInfo", request.key_info, answer.key_info),
        ("PortIndex", request.port_index, answer.port_index),
    )
    if answer.status != KpAckStatus.SUCCESS:
        known = tuple(KpAckStatus)
        name = KpAckStatus(answer.status).name if answer.status in known else "reserved status"
        raise PeerRefused(
            f"KEY_PROG {request.key_info} of stream {request.stream_id}: {name}",
            clause=f"{CLAUSE}: KP_ACK status",
            wire_code=answer.status,
            data=payload,
        )
    return answer


def check_go_stop_ack(request: KSetGo | KSetStop, payload: bytes) -> KGoStopAck:
    """Judges the answer to K_SET_GO or K_SET_STOP, which has no status: it is an echo.

    Raises:
        PeerError: if it is malformed or answers another request.
    """
    answer = _decode(payload, KGoStopAck)
    assert isinstance(answer, KGoStopAck)
    _require_echo(
        payload,
        ("StreamID", request.stream_id, answer.stream_id),
        ("KeyInfo", request.key_info, answer.key_info),
        ("PortIndex", request.port_index, answer.port_index),
    )
    return answer


def query(channel: Channel, port_index: int = 0) -> Steps[QueryResp]:
    """QUERY: who this port is, and its IDE capability registers."""
    request = Query(port_index=port_index)
    return check_query_resp(request, (yield from channel.request(request.encode())))


def key_prog(
    channel: Channel,
    stream_id: int,
    key_info: KeyInfo,
    key: Secret,
    *,
    port_index: int = 0,
    ifv: int = IFV_INITIAL,
) -> Steps[KpAck]:
    """KEY_PROG of one key."""
    request = KeyProg(
        stream_id=stream_id, key_info=key_info, port_index=port_index, key=key.reveal(), ifv=ifv
    )
    return check_kp_ack(request, (yield from channel.request(request.encode())))


def key_set_go(
    channel: Channel, stream_id: int, key_info: KeyInfo, *, port_index: int = 0
) -> Steps[KGoStopAck]:
    """K_SET_GO of one sub-stream and direction."""
    request = KSetGo(stream_id=stream_id, key_info=key_info, port_index=port_index)
    return check_go_stop_ack(request, (yield from channel.request(request.encode())))


def key_set_stop(
    channel: Channel, stream_id: int, key_info: KeyInfo, *, port_index: int = 0
) -> Steps[KGoStopAck]:
    """K_SET_STOP of one sub-stream and direction."""
    request = KSetStop(stream_id=stream_id, key_info=key_info, port_index=port_index)
    return check_go_stop_ack(request, (yield from channel.request(request.encode())))


def program_stream(
    channel: Channel, stream_id: int, key_set: int, keys: StreamKeys, *, port_index: int = 0
) -> Steps[None]:
    """KEY_PROG of all six keys of a stream, Rx first.

    Raises:
        LocalError: if a key is missing, or two of them are equal.
    """
    wanted = [(direction, sub) for direction in KeyDirection for sub in SubStream]
    if set(keys) != set(wanted):
        raise LocalError("a stream has six keys: Rx and Tx of PR, NPR and CPL")
    if len({keys[item].reveal() for item in wanted}) != len(wanted):
        raise LocalError("the keys of a stream must differ from each other")
    for direction, sub in wanted:
        info = KeyInfo(key_set=key_set, direction=direction, sub_stream=sub)
        yield from key_prog(channel, stream_id, info, keys[direction, sub], port_index=port_index)


def go_direction(
    channel: Channel,
    stream_id: int,
    key_set: int,
    direction: KeyDirection,
    *,
    port_index: int = 0,
) -> Steps[None]:
    """K_SET_GO of PR, NPR and CPL of one direction."""
    for info in key_infos(key_set, direction):
        yield from key_set_go(channel, stream_id, info, port_index=port_index)


def stop_stream(
    channel: Channel, stream_id: int, key_set: int, *, port_index: int = 0
) -> Steps[None]:
    """K_SET_STOP of all six keys of a set."""
    for direction in KeyDirection:
        for info in key_infos(key_set, direction):
            yield from key_set_stop(channel, stream_id, info, port_index=port_index)
