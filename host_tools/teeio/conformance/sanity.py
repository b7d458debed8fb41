# SPDX-License-Identifier: Apache-2.0
"""The sanity case: what every device that is alive does, whatever went before.

It asks whether the device answers, not whether the answer is right: that is for the cases.
"""

from __future__ import annotations

from teeio.conformance.bench import Bench
from teeio.core import spdm_flow
from teeio.core.ops import Steps
from teeio.errors import PeerError
from teeio.wire.tdisp import GetDeviceInterfaceState


def sanity(bench: Bench) -> Steps[None]:
    """DOE Discovery, a new connection with identity and session, one TDISP answer in it.

    Raises:
        TsmError: naming the step that failed.
    """
    spdm_flow.require_types((yield from spdm_flow.discover()))
    yield from bench.new_session()
    request = GetDeviceInterfaceState(interface=bench.interface)
    reply = yield from bench.vendor(request.to_payload())
    if reply.payload is None:
        raise PeerError(f"GET_DEVICE_INTERFACE_STATE: {reply}", clause="PCIe Base 11.3")
