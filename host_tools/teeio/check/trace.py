# SPDX-License-Identifier: Apache-2.0
"""What a TLP trace of the demo proves: one method a verdict, none of them needs a key.

Headers of IDE TLPs are in the clear, so type, requester, length, T bit and stream of every packet
can be judged; payloads cannot. Offsets: PCIe Base 7.7 to 7.9, docs/registers.md.
"""

from __future__ import annotations

from teeio.check.packets import IDE_FAIL, IDE_SYNC, Packet, Trace, Transaction
from teeio.check.verdict import missing, require

STEPS = [
    "discovery", "attest and key", "lock and report", "start", "encrypted MMIO",
    "DMA 64 KiB each way", "MSI-X interrupts", "untrusted access refused",
    "attack: one bit flipped", "stop and erasure", "recovery with fresh keys",
    "unbind and disconnect",
]
(DISCOVERY, ATTEST, _LOCK, START, MMIO, DMA, MSI, UNTRUSTED, ATTACK, STOP, RECOVER,
 END) = STEPS
FUNCTIONS = 4
VOLUME = 65536
WORK_MEMORY = 0x8000
AER, SERIAL, DOE, IDE = 0x0001, 0x0003, 0x002E, 0x0030
CAP_PCIE = 0x10
IDE_CHECK_FAILED = 1 << 28
STATE_RUN = 2


class Evidence:
    """A trace and what its discovery says about the device.

    Args:
        trace: the parsed trace.

    Raises:
        NotShown: function 0 and its capabilities cannot be found in it.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._registers: dict[tuple[int, int, bool], list[Transaction]] = {}
        for x in trace.config():
            key = x.function, x.offset, x.is_config_write
            self._registers.setdefault(key, []).append(x)
        found = sorted({x.function for x in trace.config(DISCOVERY)
                        if x.offset == 0 and not x.is_config_write
                        and x.value & 0xFFFF != 0xFFFF})
        require(bool(found), "no function answers")
        self.functions = found
        self.first = found[0]
        self.ide = self._extended(IDE)
        capability = self._read(self.first, self.ide + 4)
        block = self.ide + 0x0C
        if capability & 1:
            block += 8 * ((capability >> 13 & 7) + 1)
        self.control, self.status = block + 4, block + 8

    # ---- registers -------------------------------------------------------------------------------
    def _reads(self, function: int, offset: int) -> list[Transaction]:
        return self._registers.get((function, offset, False), [])

    def _writes(self, function: int, offset: int) -> list[Transaction]:
        return self._registers.get((function, offset, True), [])

    def _read(self, function: int, offset: int) -> int:
        found = self._reads(function, offset)
        require(bool(found), f"register {offset:#x} of {function:#06x} was never read")
        return found[0].value

    def _constant(self, function: int, offset: int) -> int:
        value = self._read(function, offset)
        require(all(x.value == value for x in self._reads(function, offset)),
                f"register {offset:#x} of {function:#06x} changed")
        return value

    def _extended(self, identity: int) -> int:
        at = 0x100
        for _ in range(64):
            header = self._read(self.first, at)
            if header & 0xFFFF == identity:
                return at
            at = header >> 20
            if at < 0x100:
                break
        missing(f"function 0 has no extended capability {identity:#06x}")

    def _bar(self, function: int) -> int:
        low = [x.value for x in self._writes(function, 0x10)]
        high = [x.value for x in self._writes(function, 0x14)]
        require(bool(low) and bool(high), f"BAR0 of {function:#06x} was never placed")
        return high[-1] << 32 | low[-1] & ~0xF

    def identity(self) -> str:
        """The name that a certificate of this device must carry (PCIe Base 6.31.3)."""
        ids, classes = self._constant(self.first, 0), self._constant(self.first, 8)
        subsystem = self._constant(self.first, 0x2C)
        at = self._extended(SERIAL)
        serial = self._constant(self.first, at + 8) << 32 | self._constant(self.first, at + 4)
        return (f"Vendor={ids & 0xFFFF:04x}:Device={ids >> 16:04x}:CC={classes >> 8:06x}"
                f":REV={classes & 0xFF:02x}:SSVID={subsystem & 0xFFFF:04x}"
                f":SSID={subsystem >> 16:04x}:{serial:016x}")

    def data_objects(self) -> list[bytes]:
        """DOE objects as they went through the mailbox registers, requests and responses."""
        mailbox = self._extended(DOE)
        out: list[bytes] = []
        words: list[int] = []
        answer: list[int] = []
        for x in self.trace.config():
            register = x.offset - mailbox
            if x.function != self.first or register not in (0x08, 0x10, 0x14):
                continue
            if register == 0x10 and x.is_config_write:
                words.append(x.value)
            elif register == 0x08 and x.is_config_write and x.value >> 31:
                out.append(_bytes(words))
                words, answer = [], []
            elif register == 0x14 and not x.is_config_write:
                answer.append(x.value)
                if len(answer) >= 2 and len(answer) == answer[1] & 0x3FFFF:
                    out.append(_bytes(answer))
        return out

    def streams(self) -> list[tuple[Packet, int]]:
        """Writes that enable the stream, with the Stream ID they set."""
        return [(x.request, x.value >> 24) for x in self._writes(self.first, self.control)
                if x.value & 1]

    # ---- verdicts --------------------------------------------------------------------------------
    def steps(self) -> str:
        """Every step of the demo, in order."""
        require(self.trace.steps == STEPS, f"headings {self.trace.steps}")
        return f"{len(STEPS)} headings, {len(self.trace.packets)} TLPs"

    def discovered(self) -> str:
        """Four functions answer configuration reads, and say TEE-IO Supported."""
        require(len(self.functions) == FUNCTIONS, f"{len(self.functions)} functions answer")
        capable = 0
        for function in self.functions:
            at = self._read(function, 0x34) & 0xFC
            while at:
                header = self._read(function, at)
                if header & 0xFF == CAP_PCIE:
                    capable += self._read(function, at + 4) >> 30 & 1
                at = header >> 8 & 0xFC
        require(capable == FUNCTIONS, f"{capable} functions have the TEE-IO bit")
        return f"{len(self.functions)} functions, all TEE-IO"

    def secured(self, step: str) -> str:
        """Enable is written and the stream then reads Secure, within the step."""
        enables = [(p, s) for p, s in self.streams() if p.step == step]
        require(len(enables) == 1, f"Enable was written {len(enables)} times")
        packet, stream = enables[0]
        states = [x.value & 0xF for x in self._reads(self.first, self.status)
                  if x.request.step == step and x.request.number > packet.number]
        require(bool(states) and states[0] == 2, f"status reads {states} after Enable")
        return f"stream {stream} Secure"

    def running(self) -> str:
        """Two interfaces show state RUN in their status registers."""
        states = {}
        for function in self.functions[1:3]:
            wanted = self._bar(function) + 0x0C
            values = [int.from_bytes(x.data, "little") & 3
                      for x in self.trace.reads(START, from_device=False)
                      if x.request.address == wanted and x.succeeded]
            require(bool(values) and values[-1] == STATE_RUN, f"{function:#06x} shows {values}")
            states[function] = values[-1]
        return f"{len(states)} interfaces"

    def mmio(self) -> str:
        """Trusted writes and reads reach the work memory of both interfaces, answers trusted."""
        for function in self.functions[1:3]:
            first = self._bar(function) + WORK_MEMORY
            written = sum(len(p.payload) for p in self.trace.of(MMIO, from_device=False)
                          if p.is_write and first <= p.address < first + 0x8000 and p.trusted)
            reads = [x for x in self.trace.reads(MMIO, from_device=False)
                     if first <= x.request.address < first + 0x8000]
            got = sum(len(c.payload) for x in reads if x.request.trusted and x.succeeded
                      for c in x.completions if c.trusted)
            require(written >= 1024 and got >= 1024,
                    f"{function:#06x}: {written} bytes written and {got} read with T=1")
            self._all_trusted(MMIO, first)
        return "T=1 in both directions, 1 KiB each way per interface"

    def _all_trusted(self, step: str, first: int) -> None:
        for p in self.trace.of(step, from_device=False):
            if (p.is_write or p.is_read) and first <= p.address < first + 0x8000:
                require(p.trusted, f"line {p.number + 1}: work memory accessed without T=1")

    def dma(self, step: str, functions: int) -> str:
        """64 KiB each way per requester, all of it protected with T=1."""
        notes = []
        for function in self.functions[1:1 + functions]:
            sent = [p for p in self.trace.of(step, from_device=True)
                    if p.is_write and p.requester == function and p.address >> 20 != 0xFEE]
            asked = [x for x in self.trace.reads(step, from_device=True)
                     if x.request.requester == function]
            for p in [*sent, *(x.request for x in asked),
                      *(c for x in asked for c in x.completions)]:
                require(p.trusted, f"line {p.number + 1}: DMA of {function:#06x} without T=1")
            require(all(x.succeeded for x in asked), f"a read of {function:#06x} was not answered")
            out = sum(len(p.payload) for p in sent)
            into = sum(len(x.data) for x in asked)
            require(out >= VOLUME and into >= VOLUME,
                    f"{function:#06x} wrote {out} and read {into} bytes")
            notes.append(f"{function:#06x} wrote {out} and read {into} bytes")
        return "; ".join(notes)

    def syncs(self) -> str:
        """The device sent IDE Sync while it streamed writes."""
        count = sum(p.is_message and p.code == IDE_SYNC and p.is_ide
                    for p in self.trace.of(DMA, from_device=True))
        require(count > 0, "no IDE Sync from the device")
        return f"{count} protected messages"

    def counters(self) -> str:
        """PR_Sent_Counter of every IDE TLP equals the posted TLPs its sender sent before it."""
        enabled = {p.number for p, _ in self.streams()}
        sent = {(d, s): 0 for d in (False, True) for s in (1, 2)}
        seen = 0
        numbers = sorted(enabled)
        for p in self.trace.packets:
            while numbers and p.number >= numbers[0]:
                numbers.pop(0)
                sent = dict.fromkeys(sent, 0)
            if not p.is_ide:
                continue
            seen += 1
            d, sub = p.from_device, p.sub_stream
            kind = 0 if p.is_write or p.is_message else 2 if p.is_completion else 1
            require(sub == kind, f"line {p.number + 1}: sub-stream {sub}, but class {kind}")
            if p.is_message and p.code == IDE_SYNC:
                carried = (int.from_bytes(p.header[12:14], "big"),
                           int.from_bytes(p.header[14:16], "big"))
                require(carried == (sent[d, 1], sent[d, 2]),
                        f"line {p.number + 1}: Sync says {carried}, sent {sent[d, 1], sent[d, 2]}")
                sent[d, 1] = sent[d, 2] = 0
            elif sub == 0:
                sent[d, 1] += 1
                sent[d, 2] += 1
            else:
                require(p.prefix[1] == sent[d, sub], f"line {p.number + 1}: PR_Sent_Counter"
                        f" {p.prefix[1]}, {sent[d, sub]} posted TLPs were sent")
                sent[d, sub] = 0
        require(seen > 0, "no IDE TLP")
        return f"{seen} IDE TLPs"

    def interrupts(self) -> str:
        """The interface with the locked table interrupts with T=1, the other with T=0."""
        found = {p.requester: p for p in self.trace.of(MSI, from_device=True)
                 if p.is_write and p.address >> 20 == 0xFEE and len(p.payload) == 4}
        wanted = self.functions[1:3]
        require(sorted(found) == wanted, f"interrupts from {sorted(found)}, not {wanted}")
        locked, unlocked = (found[f] for f in wanted)
        require(locked.trusted, "the interrupt of the locked table has T=0")
        require(not unlocked.trusted, "the interrupt of the open table has T=1")
        return f"{wanted[0]:#06x} with T=1, {wanted[1]:#06x} with T=0"

    def refused(self) -> str:
        """Each plain read of a TEE page is answered Unsupported Request, without data."""
        reads = self.trace.reads(UNTRUSTED, from_device=False)
        for function in self.functions[1:3]:
            for page in (0x1000, WORK_MEMORY):
                where = self._bar(function) + page
                mine = [x for x in reads if x.request.address == where]
                require(bool(mine), f"{where:#x} was not read")
                for x in mine:
                    require(not x.request.is_ide, f"the read of {where:#x} was protected")
                    require(x.done and x.completions[0].status == 1 and not x.data,
                            f"the read of {where:#x} was not refused")
        return f"{len(reads)} reads"

    def _fail_message(self) -> Packet:
        stream = self.streams()[0][1] if self.streams() else missing("no stream")
        found = [p for p in self.trace.of(ATTACK, from_device=True)
                 if p.is_message and p.code == IDE_FAIL and not p.is_ide
                 and p.header[11] == stream]
        require(bool(found), "no IDE Fail from the device")
        return found[0]

    def detected(self) -> str:
        """After a trusted write, the device sends IDE Fail; the stream reads Insecure."""
        fail = self._fail_message()
        before = [p for p in self.trace.of(ATTACK, from_device=False)
                  if p.is_write and p.trusted and p.number < fail.number]
        require(bool(before), "no trusted write before IDE Fail")
        states = [x.value & 0xF for x in self._reads(self.first, self.status)
                  if x.request.step == ATTACK and x.request.number > fail.number]
        require(bool(states) and not any(states), f"stream status {states} after the attack")
        return f"IDE Fail {fail.number - before[-1].number} lines after the write; Insecure"

    def silent(self) -> str:
        """From IDE Fail to the next Enable the device sends no IDE TLP on the stream."""
        fail = self._fail_message()
        stream = fail.header[11]
        later = [p.number for p, s in self.streams() if p.number > fail.number and s == stream]
        require(bool(later), "the stream is never enabled again")
        between = [p for p in self.trace.packets if fail.number < p.number < later[0]]
        for p in between:
            require(not (p.from_device and p.stream == stream),
                    f"line {p.number + 1}: an IDE TLP from the device")
        return f"{sum(p.from_device for p in between)} TLPs from the device, none with IDE"

    def reported(self) -> str:
        """AER Uncorrectable Error Status of function 0 reads with IDE Check Failed set."""
        where = self._extended(AER) + 4
        fail = self._fail_message()
        values = [x.value for x in self._reads(self.first, where)
                  if x.request.step == ATTACK and x.request.number > fail.number]
        require(bool(values), "AER status was not read")
        require(all(v & IDE_CHECK_FAILED for v in values), f"AER status {values[0]:08x}")
        return f"{values[0]:08x}"

    def erased(self) -> str:
        """Plain reads cover the whole work memory of both interfaces, and every byte is zero."""
        total = 0
        for function in self.functions[1:3]:
            base = self._bar(function)
            reads = [x for x in self.trace.reads(STOP, from_device=False)
                     if not x.request.is_ide and x.succeeded]
            sizes = [int.from_bytes(x.data, "little") for x in reads
                     if x.request.address == base + 0x18]
            require(bool(sizes) and sizes[0] > 0, f"{function:#06x} does not say its size")
            at = base + WORK_MEMORY
            for x in sorted(reads, key=lambda x: x.request.address):
                if x.request.address == at and at < base + WORK_MEMORY + sizes[0]:
                    require(not any(x.data), f"{at:#x} holds data after STOP")
                    at += len(x.data)
            read = at - base - WORK_MEMORY
            require(read == sizes[0], f"{read} of {sizes[0]} bytes of {function:#06x} were read")
            total += read
        return f"{total} bytes read as zero"

    def ended(self) -> str:
        """Enable is cleared, and the last status read is Insecure."""
        last = self._writes(self.first, self.control)[-1:]
        require(bool(last) and not last[0].value & 1, "the stream is left enabled")
        reads = self._reads(self.first, self.status)[-1:]
        require(bool(reads) and reads[0].request.step == END
                and reads[0].request.number > last[0].request.number,
                "the status was not read at the end")
        require(reads[0].value & 0xF == 0, f"the last status is {reads[0].value & 0xF}")
        return "Enable cleared, status Insecure"


def _bytes(words: list[int]) -> bytes:
    return b"".join(w.to_bytes(4, "little") for w in words)
