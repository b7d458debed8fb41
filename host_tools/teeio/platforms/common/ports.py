# SPDX-License-Identifier: Apache-2.0
"""What belongs to the root port and to the TSM's side of it: key registers and ID association.

Key operations of a verb end here and never pass the carrier.
"""

from __future__ import annotations

from enum import Enum

from teeio.core.ops import Op, OpResult, PortKey, PortSecure, PortStream
from teeio.core.port_steps import perform
from teeio.core.rootport import DeviceAccess, RootPort
from teeio.errors import LocalError
from teeio.platforms.common.checks import define
from teeio.platforms.common.context import Context

HARDWARE_OPS = (PortStream, PortKey, PortSecure)


class PortReason(Enum):
    """Why the root port refused a request."""

    RID_ASSOCIATION = "the Requester ID is outside the stream's RID association"


RID_ASSOCIATION = define(
    "port.rid_association",
    "a request on a selective IDE stream comes from a Requester ID of its RID association",
    "PCIe Base 6.33.4, Selective IDE RID Association")


class RootPortHardware:
    """Key and association registers of one root port; only a TSM holds this object.

    Args:
        context: shared.
        port: the root port.
    """

    def __init__(self, context: Context, port: RootPort) -> None:
        self.port = port
        self._context = context
        self._associations: dict[int, tuple[int, int]] = {}

    def perform(self, op: Op) -> OpResult:
        """PortStream, PortKey and PortSecure.

        Raises:
            LocalError: another operation, or keys for a stream that is not set up.
        """
        if not isinstance(op, HARDWARE_OPS):
            raise LocalError(f"{type(op).__name__} is not an operation of the key registers")
        if not isinstance(op, PortSecure):
            self._context.log.add("TSM", _describe(op), to="root port")
            if isinstance(op, PortStream) and not op.enable:
                self._associations.pop(op.stream_id, None)
        steps = perform(self.port, op)
        try:
            next(steps)
        except StopIteration as stop:
            result: OpResult = stop.value
            return result
        raise LocalError("a key register needs no link")

    def associate(self, stream_id: int, first: int, last: int) -> None:
        """RID association of a stream: Requester IDs first..last."""
        self._associations[stream_id] = (first, last)
        self._context.log.add("TSM", f"RID association {first:#06x}..{last:#06x}", to="root port")

    def check(self, access: DeviceAccess) -> Enum | None:
        """Take the root port's own check on a request of the device."""
        if access.stream_id is None:
            return None
        first, last = self._associations.get(access.stream_id, (1, 0))
        return self._context.checks.take(
            RID_ASSOCIATION, first <= access.requester_id <= last, PortReason.RID_ASSOCIATION,
            f"{access.requester_id:#06x} on stream {access.stream_id}")

    def is_secure(self, stream_id: int) -> bool:
        """This port's end of a stream is Secure."""
        return stream_id in self.port.streams and self.port.streams[stream_id].secure

    @property
    def streams(self) -> list[int]:
        """Streams that are set up and enabled at this port."""
        return sorted(k for k, stream in self.port.streams.items() if stream.enabled)


def _describe(op: Op) -> str:
    match op:
        case PortStream(stream_id, _, enable):
            return f"stream {stream_id} {'on' if enable else 'off'}"
        case PortKey(stream_id, is_tx, sub_stream, key_set, _, go):
            return (f"key {'Tx' if is_tx else 'Rx'} sub-stream {sub_stream} set {key_set}"
                    f" of stream {stream_id}{' go' if go else ''}")
    return type(op).__name__
