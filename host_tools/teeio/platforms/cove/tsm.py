# SPDX-License-Identifier: Apache-2.0
"""The TSM of CoVE-IO for one device: regions, bindings, G-stage entries, IOMMU context.

The G-stage leaf of an MMIO page goes none -> prepared (assigned, nowhere mapped) -> placed (the
guest's address is known) -> valid (RUN) -> invalid -> removed. The TSM alone writes it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from teeio.core import spdm_flow
from teeio.core.ops import Steps
from teeio.core.spdm_record import LAST_SEQUENCE
from teeio.core.tsm import TsmPolicy
from teeio.errors import LocalError, TsmError
from teeio.platforms.common.context import Context
from teeio.platforms.common.iommu import Iommu
from teeio.platforms.common.pages import PAGE, PageTableChecker
from teeio.platforms.common.ports import RootPortHardware
from teeio.platforms.common.tsm import Binding, PlatformTsm
from teeio.platforms.cove import rules
from teeio.platforms.cove.keying import CoveCore
from teeio.platforms.cove.manifest import Manifest, manifest_for
from teeio.platforms.cove.rdsm import Rdsm
from teeio.platforms.cove.rules import CoveReason, quirks_of
from teeio.platforms.cove.transcript import Parsed, parse
from teeio.platforms.cove.wire import ConnectionTranscript, StreamDescriptor
from teeio.wire.reader import decode_whole
from teeio.wire.spdm_measurements import OPERATION_ALL, Measurements
from teeio.wire.tdisp import TdiState

NOWHERE = -1
"""Guest page of a G-stage entry that is prepared, but not placed."""
RESERVED_RECORDS = 64
"""Records kept for ending a session in order."""
LINK_SPDM, LINK_IDE = 1 << 0, 1 << 1


@dataclass(frozen=True, slots=True)
class Region:
    """Pages that the VMM added for an interface.

    Attributes:
        guest: the TVM that gets them.
        base, length: bytes, whole pages.
    """

    guest: str
    base: int
    length: int

    @property
    def pages(self) -> range:
        """Physical pages."""
        return range(self.base // PAGE, (self.base + self.length) // PAGE)


@dataclass(slots=True)
class Interface:
    """What the TSM keeps of an interface beyond its binding.

    Attributes:
        regions: in the order in which they were added.
        placed: (guest page, physical page) that a guest had confirmed.
        last: position of the region of the last confirmation.
        stopping: the TVM that asked for a stop which the VMM has not done yet.
        stopped_by: the TVM whose stop was done.
    """

    regions: list[Region] = field(default_factory=list)
    placed: list[tuple[int, int]] = field(default_factory=list)
    last: int = 0
    stopping: str = ""
    stopped_by: str = ""


class CoveTsm(PlatformTsm):
    """One TSM for one device; as `PlatformTsm`, with the verbs of CoVE-IO.

    Attributes:
        rdsm: machine mode behind it.
        interfaces: by TDI number.
        sequence_limit: records a session may send under one key.
    """

    def __init__(self, context: Context, policy: TsmPolicy, rng: Callable[[int], bytes],
                 hardware: RootPortHardware, iommu: Iommu, pages: PageTableChecker,
                 index: int = 0, manifest: Manifest | None = None) -> None:
        super().__init__(context, policy, rng, hardware, iommu, pages, index)
        self.manifest = manifest or manifest_for(policy.roots, index + 1)
        self.port = self.manifest.ports[index]
        self.rdsm = Rdsm(context, hardware, self.port)
        self.cove = CoveCore(policy, rng, context, self.rdsm, self._observe, self._on_message)
        self.core = self.cove
        self.interfaces: dict[int, Interface] = {}
        self.records = 0
        self.sequence_limit = LAST_SEQUENCE - RESERVED_RECORDS
        self._digest = b""
        self._handed: Parsed | None = None

    # ---- COVH: the device ------------------------------------------------------------------------
    def connect_device(self, descriptor: StreamDescriptor) -> Steps[bytes]:
        """Attest, session, keys: the connection transcript as bytes."""
        self.cove.descriptor = descriptor
        self.records = 0
        yield from self.connect()
        transcript = ConnectionTranscript(body=self.cove.transcript).encode()
        self._digest = hashlib.sha384(transcript).digest()
        return transcript

    def key_update(self) -> Steps[None]:
        """SPDM KEY_UPDATE of both directions."""
        yield from self.session.update_keys()
        self.records = 0

    def take_transcript(self, data: bytes) -> None:
        """The VMM hands a transcript back.

        Raises:
            Refused: TRANSCRIPT.
        """
        same = bool(self._digest) and hmac.compare_digest(
            hashlib.sha384(data).digest(), self._digest)
        self.context.checks.require(rules.TRANSCRIPT, same, CoveReason.TRANSCRIPT,
                                    f"{len(data)} bytes")
        self._handed = parse(decode_whole(ConnectionTranscript.decode, data).body)

    def transcript_element(self, element: int, parameter: int) -> bytes:
        """An element of the transcript that was handed back, which is forgotten afterwards.

        Raises:
            Refused: HANDED.
            DecodeError: it has no such element.
        """
        handed, self._handed = self._handed, None
        self.context.checks.require(rules.HANDED, handed is not None, CoveReason.NO_TRANSCRIPT)
        return b"" if handed is None else handed.element(element, parameter)

    @property
    def has_transcript(self) -> bool:
        """A transcript that was verified waits for its reader."""
        return self._handed is not None

    def link(self) -> int:
        """Bit 0: secured SPDM; bit 1: IDE."""
        secure = self.rdsm.secure(self.stream_id)
        return (LINK_SPDM if self.core.session is not None else 0) | (LINK_IDE if secure else 0)

    # ---- COVH: interfaces ------------------------------------------------------------------------
    def interface(self, tdi: int) -> Interface:
        """What is kept of an interface."""
        return self.interfaces.setdefault(tdi, Interface())

    def add_region(self, guest: str, tdi: int, base: int, length: int) -> None:
        """Record a region and prepare its G-stage entries: assigned, invalid.

        Raises:
            Refused: REGION_*.
        """
        require, subject = self.context.checks.require, f"{base:#x}+{length:#x} for TDI {tdi}"
        require(rules.REGION_ALIGNED, base % PAGE == 0 and length % PAGE == 0 and length > 0,
                CoveReason.REGION_ALIGNED, subject)
        low, high = self.port.mmio
        require(rules.REGION_MANIFEST, low <= base and base + length - 1 <= high,
                CoveReason.REGION_MANIFEST, subject)
        require(rules.REGION_BOUND, tdi not in self.bindings, CoveReason.REGION_BOUND, subject)
        mine = self.interface(tdi)
        require(rules.REGION_OWNED, all(region.guest == guest for region in mine.regions),
                CoveReason.REGION_OWNED, subject)
        region = Region(guest, base, length)
        others = [other for number, item in self.interfaces.items() for other in item.regions
                  if number != tdi or other.guest == guest]
        require(rules.REGION_OVERLAP, not any(set(region.pages) & set(other.pages)
                                              for other in others),
                CoveReason.REGION_OVERLAP, subject)
        mine.regions.append(region)
        for page in region.pages:
            self.pages.assign(page, guest, NOWHERE)

    def reclaim_region(self, guest: str, tdi: int, base: int, length: int) -> Steps[None]:
        """Take a region back: entries and records go.

        Raises:
            Refused: RECLAIM_*.
        """
        subject = f"{base:#x}+{length:#x} of TDI {tdi}"
        if quirks_of(self.context).reclaim_unbinds and tdi in self.bindings:
            yield from self.unbind(tdi)
        self.context.checks.require(rules.RECLAIM_UNBOUND, tdi not in self.bindings,
                                    CoveReason.REGION_BOUND, subject)
        mine, region = self.interface(tdi), Region(guest, base, length)
        self.context.checks.require(rules.RECLAIM_KNOWN, region in mine.regions,
                                    CoveReason.REGION_UNKNOWN, subject)
        if region in mine.regions:
            mine.regions.remove(region)
        for gpa_page, page in [item for item in mine.placed if item[1] in region.pages]:
            self.pages.map(guest, gpa_page, None)
            mine.placed.remove((gpa_page, page))
        for page in region.pages:
            self.pages.release(page)

    def bind(self, tdi: int, guest: str) -> Steps[Binding]:
        """LOCK_INTERFACE; IOMMU context configured, off.

        Raises:
            Refused: those of `PlatformTsm.bind`; BIND_IDE, BIND_REGIONS.
        """
        mine, checks = self.interface(tdi), self.context.checks
        if self.core.session is not None and tdi not in self.suspect:
            checks.require(rules.BIND_IDE, self.rdsm.secure(self.stream_id), CoveReason.NO_IDE)
        checks.require(rules.BIND_REGIONS, all(r.guest == guest for r in mine.regions),
                       CoveReason.BIND_REGIONS, f"TDI {tdi}, {guest}")
        binding = yield from super().bind(tdi, guest)
        for gpa_page, _ in mine.placed:
            self.pages.map(guest, gpa_page, None)
        mine.placed.clear()
        mine.last, mine.stopping, mine.stopped_by = 0, "", ""
        return binding

    def unbind(self, tdi: int) -> Steps[bool]:
        """STOP_INTERFACE within a number of tries, tables off before it (or, by quirk, after it,
        whatever it gave); the regions stay."""
        after = quirks_of(self.context).tables_after_stop and tdi in self.bindings
        if not after:
            return (yield from super().unbind(tdi))
        try:
            yield from self.core.unbind(tdi)
            done = True
        except TsmError as error:
            self._observe("warning", f"STOP of TDI {tdi}: {error}")
            self.suspect.add(tdi)
            self.core.tdis.pop(tdi, None)
            done = False
        self.close_tables(tdi)
        del self.bindings[tdi]
        return done

    def unbind_interface(self, tdi: int, guest: str) -> Steps[bool]:
        """Unbind from this TVM, from any state.

        Raises:
            Refused: UNBIND_TVM.
        """
        binding = self.bindings.get(tdi)
        self.context.checks.require(
            rules.UNBIND_TVM, binding is not None and binding.guest == guest,
            CoveReason.NOT_THIS_TVM, f"TDI {tdi}, {guest}")
        return (yield from self.unbind(tdi))

    # ---- COVG ------------------------------------------------------------------------------------
    def map_mmio(self, tdi: int, guest: str, gpa: int, hpa: int, size: int) -> None:
        """Confirm that a range that the guest read in the report stands at its address: compare it
        with the regions and with the root port, and place the entries.

        Raises:
            Refused: OWNER, MAP_*.
        """
        binding, mine = self.binding(tdi, guest), self.interface(tdi)
        require, subject = self.context.checks.require, f"{hpa:#x}+{size:#x} at {gpa:#x}"
        require(rules.MAP_ALIGNED, not (gpa % PAGE or hpa % PAGE or size % PAGE) and size > 0,
                CoveReason.MAP_ALIGNED, subject)
        pages = range(hpa // PAGE, (hpa + size) // PAGE)
        found = [k for k, region in enumerate(mine.regions)
                 if set(pages) <= set(region.pages) and region.guest == guest]
        require(rules.MAP_REGION, bool(found), CoveReason.MAP_REGION, subject)
        position = found[0] if found else mine.last
        require(rules.MAP_ORDER, position >= mine.last, CoveReason.MAP_ORDER, subject)
        require(rules.MAP_IDE, self.rdsm.covers(self.stream_id, hpa, hpa + size - 1),
                CoveReason.MAP_IDE, subject)
        mine.last = position
        for k, page in enumerate(pages):
            gpa_page = gpa // PAGE + k
            self.pages.assign(page, guest, gpa_page)
            self.pages.map(guest, gpa_page, page)
            mine.placed.append((gpa_page, page))
            if binding.running:
                self._validate(binding, gpa_page, page)

    def start(self, tdi: int, guest: str) -> Steps[None]:
        """START_INTERFACE, then IOMMU, then G-stage.

        Raises:
            Refused: OWNER, START_ONCE.
        """
        binding = self.binding(tdi, guest)
        self.context.checks.require(rules.START_ONCE, not binding.running,
                                    CoveReason.ALREADY_STARTED, f"TDI {tdi}")
        yield from self.core.start(tdi)
        binding.running = True
        self.iommu.enable(binding.function.bdf)
        for gpa_page, page in self.interface(tdi).placed:
            self._validate(binding, gpa_page, page)

    def stop(self, tdi: int, guest: str) -> bool:
        """The guest's stop, which it repeats after the VMM has unbound: True when it is done.

        Raises:
            Refused: STOP_ONCE, STOPPED, OWNER.
        """
        mine, checks = self.interface(tdi), self.context.checks
        if mine.stopping == guest:
            mine.stopping = ""
            checks.require(rules.STOPPED, tdi not in self.bindings, CoveReason.STOP, f"TDI {tdi}")
            mine.stopped_by = guest
            return True
        checks.require(rules.STOP_ONCE, mine.stopped_by != guest, CoveReason.ALREADY_STOPPED,
                       f"TDI {tdi}")
        binding = self.binding(tdi, guest)
        # The guest's word counts at once; the rest is the VMM's to do. Nothing opens again.
        binding.running = False
        self.close_tables(tdi)
        mine.stopping = guest
        return False

    def interface_state(self, tdi: int, guest: str) -> Steps[TdiState]:
        """GET_DEVICE_INTERFACE_STATE for its guest."""
        self.binding(tdi, guest)
        return (yield from self.core.tdi_state(tdi))

    def measurements(self, tdi: int, guest: str, nonce: bytes | None, raw: bool) -> Steps[bytes]:
        """Signed measurements: what is signed, then the signature."""
        self.binding(tdi, guest)
        spdm = self.session.spdm
        request = spdm.get_measurements(OPERATION_ALL, slot=spdm.start.slot, nonce=nonce,
                                        raw_bit_stream=raw)
        yield from spdm_flow.exchange(spdm, request, Measurements)
        if spdm.measurements is None:
            raise LocalError("no measurements came: ask again")
        return spdm.measurements.evidence + spdm.measurements.signature

    # ---- helpers ---------------------------------------------------------------------------------
    def check_sequence(self) -> Enum | None:
        """Whether the session may go on without a key update."""
        return self.context.checks.take(rules.KEY_UPDATE, self.records < self.sequence_limit,
                                        CoveReason.KEY_UPDATE, f"{self.records} records")

    def forget_regions(self) -> None:
        """No interface holds a region any more (a platform that was reset)."""
        self.interfaces.clear()
        self._handed = None

    def _validate(self, binding: Binding, gpa_page: int, page: int) -> None:
        if self.pages.validate(page, binding.guest, gpa_page) is None:
            binding.accepted.add(page)
