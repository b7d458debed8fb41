# SPDX-License-Identifier: Apache-2.0
"""The main job, end to end, on a board: attest, key, lock, use, attack, recover, take down.

Every step verifies what it claims; a step that cannot is a failed demo. Cycles are device clock
cycles from the hardware counter.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from teeio.core.device import (
    CONTROL_PAGE,
    WORK_MEMORY,
    Descriptor,
    FunctionDriver,
)
from teeio.core.enumerate import ECAP_AER, bdf_name, read_config_space
from teeio.core.memory import MSI_BASE, Buffer
from teeio.core.ops import cfg_read, mem_read, mem_write
from teeio.core.port_steps import CompletionStatus
from teeio.core.rootport import EventKind, PortEvent
from teeio.errors import LocalError, TsmError
from teeio.host import Host
from teeio.wire import tlp as t
from teeio.wire.lspci import format_dump
from teeio.wire.tdisp import TdiState
from teeio.wire.tlp import TlpType

TDIS = (0, 1)
BLOCK = 16384
BLOCKS = 4
AER_UNCORRECTABLE_STATUS = 0x04
AER_IDE_CHECK_FAILED = 1 << 28
SETTLE_CYCLES = 20_000


class DemoFailed(TsmError):
    """A step did not show what it should."""


@dataclass(slots=True)
class StepRecord:
    """One step: what it showed, how long the device took."""

    name: str
    ok: bool = False
    cycles: int = 0
    details: list[str] = field(default_factory=list)


@dataclass(slots=True)
class DemoReport:
    """Result of a demo; `ok` only if every step was verified."""

    ok: bool = False
    url: str = ""
    steps: list[StepRecord] = field(default_factory=list)
    established: dict[str, str] = field(default_factory=dict)
    error: str = ""

    def as_json(self) -> dict[str, object]:
        """Plain data for report.json."""
        return asdict(self)


Reporter = Callable[[StepRecord, bool], None]


class Demo:
    """Runs the demo on a host.

    Args:
        host: a host that has not discovered its device yet.
        report: called when a step begins (False) and ends (True).
        mark: called with a step's name before it begins, for the records.
    """

    def __init__(self, host: Host, report: Reporter, mark: Callable[[str], None]) -> None:
        self.host = host
        self.result = DemoReport(url=host.transport.url)
        self.config_dump = ""
        self._report = report
        self._mark = mark
        self._current: StepRecord | None = None
        self._drivers: dict[int, FunctionDriver] = {}
        self._plain: dict[int, FunctionDriver] = {}

    def note(self, text: str) -> None:
        """Add a detail to the current step."""
        if self._current is not None:
            self._current.details.append(text)

    def run(self) -> DemoReport:
        """Run all steps; stops at the first that fails."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("discovery", self._discovery),
            ("attest and key", self._connect),
            ("lock and report", self._bind),
            ("start", self._start),
            ("encrypted MMIO", self._mmio),
            ("DMA 64 KiB each way", self._dma),
            ("MSI-X interrupts", self._interrupts),
            ("untrusted access refused", self._untrusted),
            ("attack: one bit flipped", self._attack),
            ("stop and erasure", self._stop_and_look),
            ("recovery with fresh keys", self._recover),
            ("unbind and disconnect", self._take_down),
        ]
        for name, step in steps:
            record = StepRecord(name)
            self.result.steps.append(record)
            self._current = record
            self._mark(name)
            self._report(record, False)
            start = self.host.cycles()
            try:
                step()
                record.ok = True
            except TsmError as error:
                record.details.append(str(error))
                self.result.error = f"{name}: {error}"
            # Not after an interruption: an exchange was cut off, the link would answer that one.
            try:
                record.cycles = self.host.cycles() - start
            finally:
                self._report(record, True)
            if not record.ok:
                return self.result
        self.result.ok = all(s.ok for s in self.result.steps)
        return self.result

    # ---- steps -----------------------------------------------------------------------------------
    def _discovery(self) -> None:
        self.host.reset()
        self.host.discover()
        dump = {bdf_name(f.bdf): self.host.run(read_config_space(f))
                for f in self.host.tsm.functions}
        self.config_dump = format_dump(dump)
        _require(len(dump) == 4, f"{len(dump)} functions answer, not 4")
        _require(sum(f.tee_io for f in self.host.tsm.functions) >= len(TDIS),
                 "too few TEE-IO functions")
        self.result.established["functions"] = ", ".join(dump)

    def _connect(self) -> None:
        tsm = self.host.tsm
        self.host.run(tsm.connect())
        assert tsm.chain is not None and tsm.session is not None
        self.result.established |= {
            "identity": tsm.chain.dmtf_name or "",
            "certificate name": tsm.chain.pcie_name or "",
            "SPDM session": f"{tsm.session.spdm.session_id:#010x}",
            "IDE stream": f"{tsm.policy.stream_id}, Secure at both ends",
        }

    def _bind(self) -> None:
        tsm = self.host.tsm
        for tdi in TDIS:
            function = tsm.tdi_function(tdi)
            self._plain[tdi] = FunctionDriver(function, tee=False)
            self._drivers[tdi] = FunctionDriver(function, tee=True)
            # The table is filled before it is locked; a locked one answers trusted TLPs only.
            for vector in range(2):
                self.host.run(self._plain[tdi].program_vector(
                    vector, MSI_BASE, _vector_data(tdi, vector)))
            self.host.run(self._plain[tdi].enable_msix())
            bound = self.host.run(tsm.bind(tdi, lock_msix=tdi == 0))
            for item in bound.report.ranges:
                self.note(f"TDI {tdi}: pages {item.first_page:#x}+{item.pages}"
                          f" attributes {int(item.attributes):#x}")

    def _start(self) -> None:
        for tdi in TDIS:
            self.host.run(self.host.tsm.start(tdi))
            status = self.host.run(self._plain[tdi].status())
            _require(status & 3 == TdiState.RUN, f"TDI {tdi} shows state {status & 3}, not RUN")
            self.result.established[f"TDI {tdi}"] = "locked, reported, RUN"

    def _mmio(self) -> None:
        for tdi in TDIS:
            driver = self._drivers[tdi]
            size = self.host.run(driver.identify())
            pattern = os.urandom(1024)
            self.host.run(driver.write(size - len(pattern), pattern))
            back = self.host.run(driver.read(size - len(pattern), len(pattern)))
            _require(back == pattern, f"TDI {tdi}: work memory reads back something else")
            self.note(f"TDI {tdi}: {len(pattern)} bytes written and read back, encrypted")

    def _dma(self) -> None:
        for tdi in TDIS:
            self._dma_round(tdi)

    def _dma_round(self, tdi: int) -> None:
        driver = self._drivers[tdi]
        owner = driver.function.bdf
        memory = self.host.memory
        source = memory.allocate(BLOCK * BLOCKS, owner=owner, private=True,
                                 contents=os.urandom(BLOCK * BLOCKS))
        sink = memory.allocate(BLOCK * BLOCKS, owner=owner, private=True)
        try:
            descriptors = []
            for i in range(BLOCKS):
                descriptors.append(Descriptor(source.address + i * BLOCK, 0, BLOCK, False))
                descriptors.append(Descriptor(sink.address + i * BLOCK, 0, BLOCK, True))
            self.host.run(driver.dma(descriptors))
            self._same(source, sink, f"TDI {tdi}")
            # The last block again four times: 64 KiB of posted writes in a row need IDE Sync.
            sink.data[:] = bytes(len(sink.data))
            self.host.run(driver.dma([Descriptor(sink.address + i * BLOCK, 0, BLOCK, True)
                                      for i in range(BLOCKS)]))
            last = source.data[-BLOCK:]
            _require(sink.data == last * BLOCKS, f"TDI {tdi}: a write-only burst went wrong")
            self.note(f"TDI {tdi}: {BLOCK * BLOCKS} bytes in, out, and out in one burst: equal")
        finally:
            memory.release(source)
            memory.release(sink)
        self.result.established[f"DMA of TDI {tdi}"] = "64 KiB each way, private memory"

    def _same(self, source: Buffer, sink: Buffer, who: str) -> None:
        for i, (a, b) in enumerate(zip(source.data, sink.data, strict=True)):
            if a != b:
                raise DemoFailed(f"{who}: byte {i} came back as {b:02x}, sent {a:02x}")

    def _interrupts(self) -> None:
        for tdi in TDIS:
            self.host.take_events()
            self.host.run(self._drivers[tdi].trigger_interrupt(1))
            event = self._wait_event(EventKind.INTERRUPT)
            _require(event.value == _vector_data(tdi, 1), f"TDI {tdi}: interrupt data"
                     f" {event.value:#x}")
            trusted = tdi == 0  # its table was locked
            _require(event.t_bit == trusted, f"TDI {tdi}: T={event.t_bit} on its interrupt")
            self.note(f"TDI {tdi}: vector 1 with T={int(event.t_bit)}")

    def _wait_event(self, kind: EventKind) -> PortEvent:
        for _ in range(20):
            for event in self.host.take_events():
                if event.kind is kind:
                    return event
            self.host.serve(SETTLE_CYCLES)
        raise DemoFailed(f"no event: {kind.value}")

    def _untrusted(self) -> None:
        for tdi in TDIS:
            base = self._plain[tdi].function.bar0
            for offset in (CONTROL_PAGE, WORK_MEMORY):
                try:
                    self.host.run(mem_read(base + offset, 4, tee=False))
                except CompletionStatus as refusal:
                    _require(refusal.status == t.CplStatus.UR, f"refused with {refusal.status}")
                else:
                    raise DemoFailed(f"TDI {tdi}: a plain read of a TEE page was answered")
        self.note("plain reads of TEE pages get Unsupported Request")

    def _attack(self) -> None:
        before = self.host.run(self._drivers[0].read(0, 16))
        self.host.take_events()
        flipped: list[bytes] = []

        def flip_once(tlp: bytes) -> list[bytes]:
            if flipped or tlp[0] != t.IDE_PREFIX or tlp[4] != TlpType.MWR64:
                return [tlp]
            bad = bytearray(tlp)
            bad[4 + 16] ^= 0x01  # first payload byte
            flipped.append(tlp)
            return [bytes(bad)]

        self.host.dispatcher.tamper = flip_once
        try:
            base = self._drivers[0].function.bar0 + WORK_MEMORY
            self.host.run(mem_write(base, bytes(b ^ 0xFF for b in before), tee=True))
        finally:
            self.host.dispatcher.tamper = None
        _require(bool(flipped), "the attack found no protected TLP")
        self._wait_event(EventKind.IDE_FAIL_RECEIVED)
        state = self.host.run(self.host.tsm.stream_state())
        _require(state == 0, f"the stream is still in state {state}")
        first = self.host.tsm.functions[0]
        aer = self.host.run(cfg_read(first.bdf, first.ecaps[ECAP_AER] + AER_UNCORRECTABLE_STATUS))
        _require(bool(aer & AER_IDE_CHECK_FAILED), f"AER status {aer:08x} lacks IDE Check Failed")
        for tdi in TDIS:
            tdi_state = self.host.run(self.host.tsm.tdi_state(tdi))
            _require(tdi_state is TdiState.ERROR, f"TDI {tdi} is in {tdi_state.name}")
        self.note("bit 0 of the first payload byte of one trusted write was flipped on the link;"
                  " the device dropped the TLP (IDE Check Failed), sent IDE Fail, made the stream"
                  " Insecure and moved both TDIs to ERROR")
        self.result.established["attack"] = "detected; stream Insecure, TDIs in ERROR"

    def _stop_and_look(self) -> None:
        for tdi in TDIS:
            self.host.run(self.host.tsm.unbind(tdi))
            driver = self._plain[tdi]
            size = self.host.run(driver.identify())
            contents = self.host.run(driver.read(0, size))
            _require(contents == bytes(size), f"TDI {tdi}: work memory holds data after STOP")
            self.note(f"TDI {tdi}: {size} bytes of work memory read as zero")
        self.result.established["erasure"] = "work memory zero after STOP"

    def _recover(self) -> None:
        tsm = self.host.tsm
        old = tsm.session.spdm.session_id if tsm.session else 0
        self.host.run(tsm.disconnect())
        self.host.run(tsm.connect())
        assert tsm.session is not None
        _require(tsm.session.spdm.session_id != old, "the session is the old one")
        self._bind()
        self._start()
        self._mmio()
        self._dma_round(0)
        self.result.established["recovery"] = "fresh session, fresh keys, running again"

    def _take_down(self) -> None:
        tsm = self.host.tsm
        for tdi in TDIS:
            self.host.run(tsm.unbind(tdi))
        block = tsm.block
        if block is None:
            raise LocalError("no stream to take down")
        self.host.run(tsm.disconnect())
        status = self.host.run(cfg_read(tsm.functions[0].bdf, block.status)) & 0xF
        _require(status == 0, f"the stream is in state {status} after disconnect")
        self.result.established["end"] = "unbound, stream disabled, session ended"


def _vector_data(tdi: int, vector: int) -> int:
    return 0x4100 + 16 * tdi + vector


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DemoFailed(otherwise)
