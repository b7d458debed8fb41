# SPDX-License-Identifier: Apache-2.0
"""The guest's TIO driver: it shares a key with the firmware, and believes nothing else.

What the host says is a hint: after RUN the guest asks the firmware again, and opens tables only for
the report it has read before.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from teeio.core.ops import Steps
from teeio.core.secret import Secret
from teeio.errors import DecodeError, PeerError
from teeio.platforms.common.checks import Check, Refused, define
from teeio.platforms.common.context import Context
from teeio.platforms.common.guest import EVIDENCE_DIGEST, Guest, GuestReason
from teeio.platforms.common.pages import PAGE, PhysicalMemory
from teeio.platforms.common.tsm import Evidence
from teeio.platforms.sev import messages, rules
from teeio.platforms.sev.ghcb import (
    GUEST_REQUEST,
    PARAM_OBJECTS,
    TABLE_ENTRY,
    TIO_OP,
    Action,
    Ghcb,
    Kvm,
    guid_bytes,
    mmio_parameter,
)
from teeio.platforms.sev.messages import MmioConfig, MmioStatus, MmioValidate, TdiInfo, Type
from teeio.platforms.sev.rmp import Rmp
from teeio.platforms.sev.rules import GuestStop
from teeio.platforms.sev.sdte import Sdte, guest_entry
from teeio.wire.reader import decode_whole
from teeio.wire.tdisp_report import InterfaceReport, MmioRange

DATA_PAGES = 6
SHARED_BASE_PAGE = 0x8000
KINDS = ("certificates", "measurements", "report")


class Stopped(Refused):
    """The guest goes no further, for `reason`; it is what a check of the guest refused."""


STEP = define("sev.guest_status", "the guest stops at a status other than 0", rules.MESSAGES)


@dataclass(slots=True)
class TioDevice:
    """What the guest keeps of one interface.

    Attributes:
        rid: its device id.
        tdi_id: id for messages; as the host told it.
        info: TDI_INFO that went with the evidence.
        evidence: objects by kind, verified.
        gpa_page: where its BAR stands.
    """

    rid: int
    gpa_page: int
    tdi_id: int = 0
    info: TdiInfo | None = None
    evidence: dict[str, bytes] = field(default_factory=dict)

    @property
    def report(self) -> InterfaceReport:
        """The verified report.

        Raises:
            DecodeError: there is none.
        """
        return decode_whole(InterfaceReport.decode, self.evidence.get("report", b""))


class TioGuest:
    """The driver in one guest.

    Args:
        guest: the VM.
        key: VMPCK 0.
        sequence: number of its next request.
        version: of its messages.
    """

    def __init__(self, context: Context, guest: Guest, key: Secret, sequence: int, kvm: Kvm,
                 memory: PhysicalMemory, rmp: Rmp, version: int = 2) -> None:
        self.guest, self.version, self.sequence = guest, version, sequence
        self._context, self._key, self._kvm = context, key, kvm
        self._memory, self._rmp = memory, rmp
        self._pages = [self._shared(k) for k in range(DATA_PAGES + 2)]

    def _shared(self, k: int) -> int:
        """A page that the guest shares with the host: guest page number."""
        gpa_page = SHARED_BASE_PAGE + k
        self._rmp.map(self.guest.name, gpa_page, self._memory.new_page())
        return gpa_page

    @property
    def answer_page(self) -> int:
        """Guest page in which the host leaves answers."""
        return self._pages[1]

    # ---- calls -----------------------------------------------------------------------------------
    def operate(self, mine: TioDevice, action: Action) -> Steps[None]:
        """A TIO operation.

        Raises:
            Stopped: the host says that it failed.
        """
        ghcb = Ghcb(TIO_OP, action << 32 | mine.rid)
        ret = yield from self._kvm.exit(self.guest.name, ghcb)
        if ret:
            raise Stopped(STEP, GuestStop.FAILED, f"{action.name}: {ret:#x}")
        if action is Action.BIND:
            mine.tdi_id = ghcb.rcx if self.version == 2 else mine.rid

    def ask(self, mine: TioDevice, kind: Type, body: bytes, parameter: int = 0) -> Steps[bytes]:
        """One guest message: body of the answer.

        Raises:
            Stopped: GUEST_ANSWER, or the host says that it failed.
        """
        ask, answer = self._pages[0], self._pages[1]
        self._put(ask, self.sealed(kind, body).ljust(PAGE, b"\0"))
        ghcb = Ghcb(GUEST_REQUEST, ask * PAGE, answer * PAGE, rax=self._pages[2] * PAGE,
                    rbx=DATA_PAGES, rcx=mine.rid, rdx=parameter)
        ret = yield from self._kvm.exit(self.guest.name, ghcb)
        if ret:
            raise Stopped(STEP, GuestStop.FAILED, f"{kind.name}: {ret:#x}")
        got = self._get(answer)
        checks, sequence = self._context.checks, self.sequence + 1
        if checks.is_off(rules.GUEST_ANSWER):
            sequence = int.from_bytes(got[32:40], "little")
        try:
            message = messages.unseal(self._key, sequence, got)
            good = message.type == kind + 1 and message.version == self.version
        except (PeerError, DecodeError):
            message, good = None, False
        self._require(rules.GUEST_ANSWER, good, GuestStop.ANSWER, kind.name)
        self.sequence += 2
        return b"" if message is None else message.body

    def sealed(self, kind: Type, body: bytes) -> bytes:
        """The next message, as it goes to the host."""
        return messages.seal(self._key, self.sequence, kind, body, self.version)

    # ---- evidence --------------------------------------------------------------------------------
    def info(self, mine: TioDevice, *, objects: bool = False) -> Steps[TdiInfo]:
        """TDI_INFO.

        Raises:
            Stopped: the firmware does not know the interface as this guest's.
        """
        body = yield from self.ask(mine, Type.TDI_INFO_REQ, messages.identity(
            mine.tdi_id, self.version).ljust(0x10, b"\0"), PARAM_OBJECTS if objects else 0)
        status = messages.status_of(body, self.version)
        if status:
            raise Stopped(STEP, GuestStop.INFO, f"status {status}")
        return TdiInfo.decode(body)

    def read_evidence(self, mine: TioDevice) -> Steps[None]:
        """TDI_INFO, and the host's objects against its digests.

        Raises:
            Stopped: GUEST_LOCKED, GUEST_BLOBS, no report.
            Refused: EVIDENCE_DIGEST.
        """
        info = yield from self.info(mine, objects=True)
        self._require(rules.GUEST_LOCKED, info.state == messages.LOCKED, GuestStop.NOT_LOCKED,
                      f"state {info.state}")
        found = self._objects()
        if not found.get("report"):
            raise Stopped(STEP, GuestStop.NO_REPORT)
        digests = {"certificates": info.certificates, "measurements": info.measurements,
                   "report": info.report}
        for kind in KINDS:
            data = found.get(kind, b"")
            reason = self.guest.verify(Evidence(kind, data, digests[kind], info.counter), data)
            if reason is not None:
                raise Refused(EVIDENCE_DIGEST, GuestReason.DIGEST, kind)
        mine.info, mine.evidence = info, found

    def _objects(self) -> dict[str, bytes]:
        """The host's table: every offset and length is bounded by the pages that it may use."""
        whole = b"".join(self._get(page) for page in self._pages[2:])
        names = {guid_bytes(kind): kind for kind in KINDS}
        found: dict[str, bytes] = {}
        for at in range(0, len(whole) - TABLE_ENTRY, TABLE_ENTRY):
            guid = whole[at:at + 16]
            if guid == bytes(16):
                break
            offset, length = struct.unpack_from("<II", whole, at + 16)
            good = (guid in names and names.get(guid) not in found
                    and offset + length <= len(whole) and len(found) < len(KINDS))
            self._require(rules.GUEST_BLOBS, good, GuestStop.BLOBS, f"entry at {at:#x}")
            found[names.get(guid, guid.hex())] = whole[offset:offset + length]
        return found

    # ---- lock, accept, unlock --------------------------------------------------------------------
    def lock(self, mine: TioDevice) -> Steps[None]:
        """BIND and evidence."""
        yield from self.operate(mine, Action.BIND)
        yield from self.read_evidence(mine)

    def start(self, mine: TioDevice) -> Steps[None]:
        """RUN, and the firmware's word that it is the interface whose evidence was read.

        Raises:
            Stopped: GUEST_RUN, GUEST_SAME.
        """
        yield from self.operate(mine, Action.RUN)
        info, before = (yield from self.info(mine)), mine.info
        self._require(rules.GUEST_RUN, info.state == messages.RUNNING, GuestStop.NOT_RUNNING,
                      f"state {info.state}")
        same = before is not None and info.counter == before.counter and hmac.compare_digest(
            info.report, hashlib.sha384(mine.evidence.get("report", b"")).digest())
        self._require(rules.GUEST_SAME, same, GuestStop.CHANGED, f"counter {info.counter}")

    def open_dma(self, mine: TioDevice, entry: Sdte | None = None) -> Steps[int]:
        """SDTE_WRITE: its status."""
        body = messages.sdte_write(mine.tdi_id, (entry or guest_entry()).encode(), self.version)
        answer = yield from self.ask(mine, Type.SDTE_WRITE_REQ, body)
        return messages.status_of(answer, self.version)

    def close_dma(self, mine: TioDevice) -> Steps[int]:
        """SDTE_WRITE of zeros: its status."""
        return (yield from self.open_dma(mine, Sdte()))

    def validate(self, mine: TioDevice, request: MmioValidate) -> Steps[tuple[int, bool]]:
        """MMIO_VALIDATE: status, and whether something changed."""
        parameter = mmio_parameter(request.base, 0, True, request.range_id)
        answer = yield from self.ask(mine, Type.MMIO_VALIDATE_REQ,
                                     request.encode(mine.tdi_id, self.version),
                                     parameter & ~PARAM_OBJECTS)
        return messages.status_of(answer, self.version), bool(answer[0x20] & 1)

    def validate_all(self, mine: TioDevice, *, valid: bool = True) -> Steps[int]:
        """MMIO_VALIDATE for every TEE range of the report: the first status that is not 0."""
        for item in self.tee_ranges(mine):
            request = self.whole(mine, item, valid=valid)
            status, _ = yield from self.validate(mine, request)
            if status != MmioStatus.OK:
                return status
        return int(MmioStatus.OK)

    def tee_ranges(self, mine: TioDevice) -> list[MmioRange]:
        """Ranges of the report that are not NON_TEE."""
        return [item for item in mine.report.ranges if item.is_tee]

    def whole(self, mine: TioDevice, item: MmioRange, *, valid: bool = True) -> MmioValidate:
        """MMIO_VALIDATE for one range of the report."""
        start = min(one.first_page for one in mine.report.ranges if one.range_id == item.range_id)
        offset = item.first_page - start
        return MmioValidate((mine.gpa_page + offset) * PAGE, item.pages, offset,
                            messages.VALIDATED if valid else messages.FORCED, item.range_id)

    def configure(self, mine: TioDevice, config: MmioConfig) -> Steps[tuple[int, int]]:
        """MMIO_CONFIG: status and attributes."""
        answer = yield from self.ask(mine, Type.MMIO_CONFIG_REQ,
                                     config.encode(mine.tdi_id, self.version))
        return (messages.status_of(answer, self.version), MmioConfig.decode(answer).attributes)

    def accept(self, mine: TioDevice) -> Steps[None]:
        """RUN, SDTE_WRITE, MMIO_VALIDATE of all TEE ranges.

        Raises:
            Stopped: as `start`; a status that is not 0.
        """
        yield from self.start(mine)
        for what, steps in (("SDTE_WRITE", self.open_dma(mine)),
                            ("MMIO_VALIDATE", self.validate_all(mine))):
            status = yield from steps
            if status:
                raise Stopped(STEP, GuestStop.STATUS, f"{what}: {status}")

    def unlock(self, mine: TioDevice) -> Steps[None]:
        """SDTE invalid, MMIO invalid, STOP, UNBIND."""
        yield from self.close_dma(mine)
        yield from self.validate_all(mine, valid=False)
        yield from self.operate(mine, Action.STOP)
        yield from self.operate(mine, Action.UNBIND)
        mine.evidence.clear()
        mine.info = None

    # ---- helpers ---------------------------------------------------------------------------------
    def _put(self, gpa_page: int, data: bytes) -> None:
        page = self._rmp.walk(self.guest.name, gpa_page)
        if page is not None:
            self._memory.poke(page * PAGE, data)

    def _get(self, gpa_page: int) -> bytes:
        page = self._rmp.walk(self.guest.name, gpa_page)
        return bytes(PAGE) if page is None else self._memory.peek(page * PAGE, PAGE)

    def _require(self, check: Check, holds: bool, reason: GuestStop, subject: str) -> None:
        taken = self._context.checks.take(check, holds, reason, subject)
        if taken is not None:
            raise Stopped(check, taken, subject)
