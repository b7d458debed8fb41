# SPDX-License-Identifier: Apache-2.0
"""The TSM of a platform: the protocol core, and the tables that only a TSM may write.

Each verb is a generator (`Steps`); open it through the device's `VerbGate` and have a `HostVmm`
carry it. A platform puts its own call interface above this class, or overrides a verb.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from teeio.core.enumerate import Function
from teeio.core.ops import Steps
from teeio.core.spdm_flow import Session
from teeio.core.tsm import Tsm, TsmPolicy
from teeio.errors import LocalError, PeerRefused, TransportError, TsmError
from teeio.platforms.common.checks import Check, define
from teeio.platforms.common.context import Context
from teeio.platforms.common.iommu import Iommu
from teeio.platforms.common.names import payload_name
from teeio.platforms.common.pages import PAGE, PageTableChecker
from teeio.platforms.common.ports import RootPortHardware
from teeio.wire.tdisp_report import InterfaceReport, MmioRange


class TsmReason(Enum):
    """Why a TSM refused a verb."""

    NOT_CONNECTED = "the device is not connected"
    CONNECTED = "the device is connected already"
    IN_USE = "an interface of the device is bound"
    BOUND = "the interface is bound already"
    NOT_BOUND = "the interface is not bound to this guest"
    SUSPECT = "the interface did not stop; connect the device anew"
    STALE = "the evidence is of an earlier lock"
    NOT_RUNNING = "the interface is not in RUN"
    NOT_REPORTED = "the page is not the one that the interface reports there"
    NON_TEE = "the range is not for trusted accesses"


def _check(name: str, text: str, clause: str) -> Check:
    return define(f"tsm.{name}", text, clause)


CONNECT_ONCE = _check("connect_once", "a connected device is not connected again",
                      "Linux drivers/pci/tsm.c; CoVE-IO, connect_device")
BIND_CONNECTED = _check("bind_connected", "only interfaces of a connected device are bound",
                        "CoVE-IO, bind_interface; PCIe Base 11.2.2")
BIND_ONCE = _check("bind_once", "an interface is bound to one guest at a time",
                   "CoVE-IO, bind_interface; Linux drivers/pci/tsm.c")
BIND_SUSPECT = _check("bind_suspect", "an interface whose STOP was not answered is not bound again",
                      "CoVE-IO, unbind_interface")
OWNER = _check("owner", "only the guest an interface is bound to may run it or ask for its tables",
               "CoVE-IO, start_interface; SEV-TIO, guest messages")
FRESH_EVIDENCE = _check("fresh_evidence", "RUN follows the lock that the guest's evidence was"
                        " taken under", "PCIe Base 11.3.13; Linux Documentation/driver-api tsm")
DMA_RUN = _check("dma_run", "trusted DMA is opened only for an interface in RUN",
                 "PCIe Base 11.2.1; CoVE-IO, start_interface")
MMIO_RUN = _check("mmio_run", "trusted MMIO is opened only for an interface in RUN",
                  "PCIe Base 11.2.1; CoVE-IO, start_interface")
MMIO_REPORT = _check("mmio_report", "a page is accepted only where the interface report has it",
                     "PCIe Base 11.3.11, 11.5; SEV-TIO, MMIO_VALIDATE")
MMIO_TEE = _check("mmio_tee", "a range with IS_NON_TEE_MEM is never accepted as trusted",
                  "PCIe Base 11.3.11")
DISCONNECT_IDLE = _check("disconnect_idle", "a device with bound interfaces is not disconnected",
                         "CoVE-IO, disconnect_device")


@dataclass(slots=True)
class Binding:
    """An interface and the guest it is bound to.

    Attributes:
        guest: name of the guest.
        function: the function it is.
        report: verified interface report.
        generation: counts the locks of this interface; evidence carries it.
        running: START_INTERFACE succeeded.
        accepted: physical MMIO pages made valid.
    """

    guest: str
    function: Function
    report: InterfaceReport
    generation: int
    running: bool
    accepted: set[int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """An object for a guest. The host carries `data`; digest and generation come from the TSM.

    Attributes:
        kind: "certificates", "measurements" or "report".
        data: certificate slot structure; signed measurement transcript and signature; report.
        digest: SHA-384 of the data, held by the TSM.
        generation: lock it belongs to; 0 if it belongs to the device.
    """

    kind: str
    data: bytes
    digest: bytes
    generation: int


class PlatformTsm:
    """One TSM for one device.

    Args:
        context: shared.
        policy: what it trusts.
        rng: source of random bytes.
        hardware: key registers of the root port.
        iommu, pages: tables of the machine.
        index: number of the device; with several, its bus is index + 1.
    """

    def __init__(self, context: Context, policy: TsmPolicy, rng: Callable[[int], bytes],
                 hardware: RootPortHardware, iommu: Iommu, pages: PageTableChecker,
                 index: int = 0) -> None:
        self.context = context
        self.hardware = hardware
        self.iommu = iommu
        self.pages = pages
        self.index = index
        self.core = Tsm(policy, rng, self._observe, on_message=self._on_message)
        self.bindings: dict[int, Binding] = {}
        self.suspect: set[int] = set()
        self._generations: dict[int, int] = {}

    # ---- verbs -----------------------------------------------------------------------------------
    def probe(self) -> Steps[list[Function]]:
        """Enumerate the device, on the bus and in the window of its root port."""
        behind = self.hardware.port.behind
        if behind is None:
            return (yield from self.core.discover())
        return (yield from self.core.discover(behind.bus, behind.window, behind.window_bytes))

    def connect(self) -> Steps[None]:
        """Attest, open the session, key the stream.

        Raises:
            Refused: CONNECT_ONCE.
            PeerError, TransportError: as `Tsm.connect`; nothing is left set up.
        """
        self.context.checks.require(CONNECT_ONCE, self.core.session is None, TsmReason.CONNECTED)
        functions = self.core.functions
        if functions:
            self.hardware.associate(self.stream_id, functions[0].bdf, functions[-1].bdf)
        yield from self.core.connect()

    def bind(self, tdi: int, guest: str) -> Steps[Binding]:
        """LOCK_INTERFACE and report; the trusted IOMMU context is set up, off.

        Raises:
            Refused: BIND_CONNECTED, BIND_ONCE, BIND_SUSPECT.
            PeerError, TransportError: as `Tsm.bind`.
        """
        checks = self.context.checks
        checks.require(BIND_CONNECTED, self.core.session is not None, TsmReason.NOT_CONNECTED)
        checks.require(BIND_ONCE, tdi not in self.bindings, TsmReason.BOUND, f"TDI {tdi}")
        checks.require(BIND_SUSPECT, tdi not in self.suspect, TsmReason.SUSPECT, f"TDI {tdi}")
        bound = yield from self.core.bind(tdi)
        generation = self._generations.get(tdi, 0) + 1
        self._generations[tdi] = generation
        binding = Binding(guest, bound.function, bound.report, generation, False, set())
        self.bindings[tdi] = binding
        self.iommu.prepare(bound.function.bdf, guest, self.stream_id)
        return binding

    def run(self, tdi: int, guest: str, generation: int) -> Steps[None]:
        """START_INTERFACE with the nonce of the lock that `generation` names.

        Raises:
            Refused: OWNER, FRESH_EVIDENCE.
            PeerError, TransportError: as `Tsm.start`.
        """
        binding = self.binding(tdi, guest)
        self.context.checks.require(FRESH_EVIDENCE, binding.generation == generation,
                                    TsmReason.STALE, f"{generation}, now {binding.generation}")
        yield from self.core.start(tdi)
        binding.running = True

    def unbind(self, tdi: int) -> Steps[bool]:
        """Tables off, then STOP_INTERFACE, within `quirks.stop_attempts` tries.

        Needs neither the guest nor an answer of the device: True if it stopped, False if not; then
        the interface is suspect and stays unusable until the device is connected anew.

        Raises:
            Refused: the interface is not bound at all (OWNER).
        """
        binding = self.bindings.get(tdi)
        self.context.checks.require(OWNER, binding is not None, TsmReason.NOT_BOUND, f"TDI {tdi}")
        if binding is not None:
            self.close_tables(tdi)
            del self.bindings[tdi]
        for _ in range(self.context.quirks.stop_attempts):
            try:
                yield from self.core.unbind(tdi)
                return True
            except TsmError as error:
                self._observe("warning", f"STOP of TDI {tdi}: {error}")
        self.core.tdis.pop(tdi, None)
        self.suspect.add(tdi)
        return False

    def disconnect(self, *, force: bool = False) -> Steps[None]:
        """Stop the stream and end the session; bound interfaces first, newest first, if the quirk
        says so.

        Args:
            force: take everything down even if the device does not answer.

        Raises:
            Refused: DISCONNECT_IDLE; or not connected (BIND_CONNECTED).
        """
        checks = self.context.checks
        checks.require(BIND_CONNECTED, self.core.session is not None, TsmReason.NOT_CONNECTED)
        if not self.context.quirks.disconnect_unbinds:
            checks.require(DISCONNECT_IDLE, not self.bindings, TsmReason.IN_USE)
        for tdi in reversed(list(self.bindings)):
            yield from self.unbind(tdi)
        try:
            yield from self.core.disconnect()
        except TsmError:
            if not force:
                raise
            yield from self.core.abandon()
        self.suspect.clear()

    def abandon(self) -> Steps[None]:
        """Whatever the state is, tables off, session and stream gone; for a device that is lost."""
        for tdi in reversed(list(self.bindings)):
            self.close_tables(tdi)
            del self.bindings[tdi]
        yield from self.core.abandon()
        self.suspect.clear()

    # ---- calls that need no message --------------------------------------------------------------
    def binding(self, tdi: int, guest: str) -> Binding:
        """The binding of an interface, if it is this guest's.

        Raises:
            Refused: OWNER.
        """
        binding = self.bindings.get(tdi)
        self.context.checks.require(OWNER, binding is not None and binding.guest == guest,
                                    TsmReason.NOT_BOUND, f"TDI {tdi}, {guest}")
        if binding is None:
            raise TransportError(f"TDI {tdi} is bound to nobody: bind it first")
        return binding

    def dma_enable(self, tdi: int, guest: str) -> None:
        """Turn the trusted IOMMU context on.

        Raises:
            Refused: OWNER, DMA_RUN.
        """
        binding = self.binding(tdi, guest)
        self.context.checks.require(DMA_RUN, binding.running, TsmReason.NOT_RUNNING, f"TDI {tdi}")
        self.iommu.enable(binding.function.bdf)

    def dma_disable(self, tdi: int, guest: str) -> None:
        """Turn it off; it stays set up.

        Raises:
            Refused: OWNER.
        """
        binding = self.binding(tdi, guest)
        self.iommu.prepare(binding.function.bdf, guest, self.stream_id)

    def mmio_accept(self, tdi: int, guest: str, gpa_page: int, index: int, offset: int) -> (
            Enum | None):
        """The guest accepts one page of a reported range at one of its pages.

        Args:
            index: position of the range in the report.
            offset: page in the range.

        Returns:
            None, or why the page stays unusable: a `TsmReason` or `PageReason`.

        Raises:
            Refused: OWNER.
        """
        binding = self.binding(tdi, guest)
        checks, subject = self.context.checks, f"TDI {tdi} range {index} page {offset}"
        reason = checks.take(MMIO_RUN, binding.running, TsmReason.NOT_RUNNING, subject)
        page = self.pages.maps.get(guest, {}).get(gpa_page, -1)
        item = reported(binding.report, index)
        is_there = (item is not None and 0 <= offset < item.pages
                    and page == item.first_page + offset)
        reason = (reason
                  or checks.take(MMIO_REPORT, is_there, TsmReason.NOT_REPORTED, subject)
                  or checks.take(MMIO_TEE, item is None or item.is_tee, TsmReason.NON_TEE, subject)
                  or self.pages.validate(page, guest, gpa_page))
        if reason is None:
            binding.accepted.add(page)
        return reason

    def evidence(self, kind: str, tdi: int | None = None) -> Evidence:
        """An evidence object of the device, or the report of an interface.

        Raises:
            Refused: BIND_CONNECTED (not connected), OWNER (no report: not bound).
        """
        checks, core = self.context.checks, self.core
        checks.require(BIND_CONNECTED, core.session is not None, TsmReason.NOT_CONNECTED)
        generation = 0
        data = b""
        if kind == "certificates" and core.chain is not None:
            data = core.chain.structure
        elif kind == "measurements" and core.attestation is not None:
            signed = core.attestation.measurements
            data = signed.evidence + signed.signature
        elif kind == "report":
            binding = self.bindings.get(-1 if tdi is None else tdi)
            checks.require(OWNER, binding is not None, TsmReason.NOT_BOUND, f"TDI {tdi}")
            if binding is not None:
                data, generation = binding.report.encode(), binding.generation
        return Evidence(kind, data, hashlib.sha384(data).digest(), generation)

    # ---- helpers ---------------------------------------------------------------------------------
    @property
    def session(self) -> Session:
        """The SPDM session, for messages of a platform's own.

        Raises:
            Refused: BIND_CONNECTED.
        """
        session = self.core.session
        self.context.checks.require(BIND_CONNECTED, session is not None, TsmReason.NOT_CONNECTED)
        if session is None:
            raise LocalError("not connected: connect the device first")
        return session

    @property
    def stream_id(self) -> int:
        """The IDE stream of the device."""
        return self.core.policy.stream_id

    def close_tables(self, tdi: int) -> None:
        """No more trusted DMA, no more trusted MMIO of a bound interface; at once."""
        binding = self.bindings[tdi]
        self.iommu.remove(binding.function.bdf)
        for page in sorted(binding.accepted):
            self.pages.invalidate(page)
        binding.accepted.clear()

    def _observe(self, step: str, detail: str) -> None:
        self.context.log.add("TSM", step, detail=detail)

    def _on_message(self, is_request: bool, payload: bytes) -> None:
        name = payload_name(payload)
        if is_request:
            self.context.log.add("TSM", name, to="DSM")
        else:
            self.context.log.add("DSM", name, to="TSM")


def reported(report: InterfaceReport, index: int) -> MmioRange | None:
    """A range of a report, None if it has no such range."""
    return report.ranges[index] if 0 <= index < len(report.ranges) else None


def wire_code(error: BaseException) -> int | None:
    """The error code a device refused with, None if it was not a refusal."""
    return error.wire_code if isinstance(error, PeerRefused) else None


__all__ = ["PAGE", "Binding", "Evidence", "PlatformTsm", "TsmReason", "reported", "wire_code"]
