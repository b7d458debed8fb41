# SPDX-License-Identifier: Apache-2.0
"""The VMM's side of CoVE-IO: it owns the device, its IDE capability and the mailbox, makes COVH
calls, and does what a TVM's call leaves to it. Untrusted: all it holds it could have made up.

Everything here is a generator of operations; whoever runs it performs them, or attacks them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from teeio.core.enumerate import CAP_MSIX, ECAP_IDE, Function
from teeio.core.ops import Steps, cfg_read, cfg_write, doe_exchange, wait
from teeio.core.stream_block import (
    CONTROL_DEFAULT_STREAM,
    CONTROL_ENABLE,
    StreamBlock,
    find_block,
    set_up_block,
)
from teeio.errors import LocalError, TransportError
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE
from teeio.platforms.cove.interface import VMM, Arg, CoveInterface, device_of
from teeio.platforms.cove.sbi import Covg, Covh, Eid, SbiRet, TvmExit
from teeio.platforms.cove.tsm import CoveTsm
from teeio.platforms.cove.wire import PendingSpdm, StreamDescriptor, address_block
from teeio.wire.reader import decode_whole

PATIENCE_CYCLES = 48_000
TRANSCRIPT_ADDRESS, TRANSCRIPT_BYTES = 0x8000_0000, 0x8000


@dataclass(slots=True)
class CoveHost:
    """One VMM.

    Args:
        context: shared.
        interface: the ecall.

    Attributes:
        transcripts: what connect gave, by device id.
        values: (function, value) of every COVH call, for who wants to see the protocol.
        unbinds: it does unbind when a TVM has stopped an interface.
    """

    context: Context
    interface: CoveInterface
    transcripts: dict[int, bytes] = field(default_factory=dict)
    blocks: dict[int, StreamBlock] = field(default_factory=dict)
    values: list[tuple[int, int]] = field(default_factory=list)
    unbinds: bool = True

    # ---- calls -----------------------------------------------------------------------------------
    def call(self, function: int, *args: Arg) -> Steps[SbiRet]:
        """A COVH call, repeated until it does not return pending."""
        while True:
            ret = self.interface.ecall(VMM, Eid.COVH, function, *args)
            self.values.append((function, ret.value))
            if ret.exit is None:
                return ret
            yield from self.carry(self._device_of(function, args))

    def enter(self, guest: str, function: int, *args: Arg) -> Steps[SbiRet]:
        """A COVG call of a TVM: what it leaves to the VMM is done, and the TVM re-entered."""
        asked = False
        while True:
            given = (*args, asked) if function == Covg.GET_DEVICE_CONNECTION_TRANSCRIPT else args
            ret = self.interface.ecall(guest, Eid.COVG, function, *given)
            if ret.exit is None:
                return ret
            interface = args[0]
            assert isinstance(interface, int)
            if ret.exit is TvmExit.SPDM:
                yield from self.carry(device_of(interface))
            elif ret.exit is TvmExit.TRANSCRIPT:
                device = device_of(interface)
                yield from self.call(Covh.GET_DEVICE_CONNECTION_TRANSCRIPT, device,
                                     self.transcripts.get(device, b""))
                asked = True
            elif self.unbinds:
                yield from self.call(Covh.UNBIND_INTERFACE, tvm_id(guest), interface)

    def carry(self, device: int) -> Steps[None]:
        """Take the request out of the shared buffer to the device, and its answer back."""
        pending = decode_whole(PendingSpdm.decode, self.interface.buffers[device])
        answer = b""
        if pending.payload:
            try:
                answer = yield from doe_exchange(pending.payload)
            except (TransportError, LocalError) as error:
                self.context.log.add(VMM, "no answer", detail=str(error))
        else:
            yield from wait(PATIENCE_CYCLES)
        self.interface.buffers[device] = replace(pending, payload=answer).encode()

    @staticmethod
    def _device_of(function: int, args: tuple[Arg, ...]) -> int:
        by_tvm = function in (Covh.BIND_INTERFACE, Covh.UNBIND_INTERFACE,
                              Covh.RECLAIM_TVM_INTERFACE_REGION)
        identity = args[1 if by_tvm else 0]
        assert isinstance(identity, int)
        return device_of(identity)

    # ---- the device ------------------------------------------------------------------------------
    def prepare(self, tsm: CoveTsm) -> Steps[StreamDescriptor]:
        """Program the device's stream block for all IDs and all memory, disabled."""
        first, stream = tsm.core.functions[0], tsm.stream_id
        yield from tsm.cove.read_identity()
        block = yield from find_block(first.bdf, first.ecaps[ECAP_IDE])
        self.blocks[first.bdf] = block
        yield from set_up_block(first.bdf, block, stream)
        blocks = (address_block(*tsm.port.mmio),) if block.addresses else ()
        return StreamDescriptor(stream_id=stream, rid_base=first.bdf,
                                rid_limit=tsm.core.functions[-1].bdf, blocks=blocks)

    def connect(self, tsm: CoveTsm, *, enable: bool = True) -> Steps[SbiRet]:
        """Prepare the device, connect_device, set Enable in the device's stream control."""
        descriptor = yield from self.prepare(tsm)
        device = tsm.core.functions[0].bdf
        ret = yield from self.call(Covh.CONNECT_DEVICE, device, descriptor.encode(),
                                   TRANSCRIPT_ADDRESS, TRANSCRIPT_BYTES)
        if ret.ok:
            self.transcripts[device] = ret.data
            tsm.core.block = self.blocks[device]
            if enable:
                yield from self.set_enable(tsm, True)
        return ret

    def disconnect(self, tsm: CoveTsm) -> Steps[SbiRet]:
        """Clear Enable in the device's stream control (not while an interface is bound: that would
        break it), then disconnect_device."""
        device = tsm.core.functions[0].bdf
        if not tsm.bindings:
            yield from self.set_enable(tsm, False)
        return (yield from self.call(Covh.DISCONNECT_DEVICE, device))

    def set_enable(self, tsm: CoveTsm, on: bool) -> Steps[None]:
        """IDE on or off in the device's stream control."""
        device = tsm.core.functions[0].bdf
        block = self.blocks[device]
        control = tsm.stream_id << 24 | CONTROL_DEFAULT_STREAM
        self.context.log.add(VMM, f"device IDE {'on' if on else 'off'}", to="device")
        yield from cfg_write(device, block.control, control | (CONTROL_ENABLE if on else 0))

    # ---- interfaces ------------------------------------------------------------------------------
    def layout(self, function: Function) -> Steps[list[tuple[int, int]]]:
        """Regions for a TVM, (base, length) in bytes: the BAR but for the pages of the MSI-X table
        and PBA, which the VMM works with itself."""
        kept = set()
        if CAP_MSIX in function.caps:
            for offset in (4, 8):
                kept.add((yield from cfg_read(function.bdf, function.caps[CAP_MSIX] + offset))
                         // PAGE)
        regions: list[tuple[int, int]] = []
        for page in range(function.bar0_size // PAGE):
            if page in kept:
                continue
            base = function.bar0 + page * PAGE
            if regions and sum(regions[-1]) == base:
                regions[-1] = regions[-1][0], regions[-1][1] + PAGE
            else:
                regions.append((base, PAGE))
        return regions

    def add_regions(self, tsm: CoveTsm, guest: str, tdi: int) -> Steps[SbiRet]:
        """add_tvm_interface_region for the whole layout: the first result that is no success."""
        function = tsm.core.tdi_function(tdi)
        for base, length in (yield from self.layout(function)):
            ret = yield from self.call(Covh.ADD_TVM_INTERFACE_REGION, tvm_id(guest), function.bdf,
                                       base, length)
            if not ret.ok:
                return ret
        return SbiRet()

    def reclaim(self, tsm: CoveTsm, guest: str, tdi: int) -> Steps[SbiRet]:
        """reclaim_tvm_interface_region for every region that the TVM has of an interface."""
        function = tsm.core.tdi_function(tdi)
        for base, length in (yield from self.layout(function)):
            ret = yield from self.call(Covh.RECLAIM_TVM_INTERFACE_REGION, tvm_id(guest),
                                       function.bdf, base, length)
            if not ret.ok:
                return ret
        return SbiRet()

    def bind(self, tsm: CoveTsm, guest: str, tdi: int) -> Steps[SbiRet]:
        """Add the regions, then bind_interface."""
        ret = yield from self.add_regions(tsm, guest, tdi)
        if ret.ok:
            ret = yield from self.call(Covh.BIND_INTERFACE, tvm_id(guest),
                                       tsm.core.tdi_function(tdi).bdf)
        return ret

    def unbind(self, tsm: CoveTsm, guest: str, tdi: int) -> Steps[SbiRet]:
        """unbind_interface."""
        return (yield from self.call(Covh.UNBIND_INTERFACE, tvm_id(guest),
                                     tsm.core.tdi_function(tdi).bdf))


def tvm_id(guest: str) -> int:
    """Id of a TVM by its name."""
    return int(guest.removeprefix("guest "))
