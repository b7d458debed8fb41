# SPDX-License-Identifier: Apache-2.0
"""DOE: Discovery, data object headers, what is discarded, and the registers of the mailbox."""

from __future__ import annotations

import struct
from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, CaseSteps, Checks, Level
from teeio.core.ops import Steps, cfg_read, cfg_write, wait

_RULES: Final = "PCIe Base 6.x 6.30.2"
_OBJECT: Final = "PCIe Base 6.x 6.30.1"
_DISCOVERY: Final = "PCIe Base 6.x 6.30.1.1"
_REGISTERS: Final = ("doe", "config", "mmio")
ABORT, GO = 1 << 0, 1 << 31
BUSY, ERROR, READY = 1 << 0, 1 << 2, 1 << 31
CONTROL, STATUS, WRITE, READ = 0x08, 0x0C, 0x10, 0x14
POLL_CYCLES: Final = 48_000
POLLS: Final = 1_000
"""One second at 48 MHz."""


def obj(object_type: int, words: tuple[int, ...] = (), *, vendor: int = 1,
        length: int | None = None, reserved: int = 0) -> bytes:
    """A data object, legal or not."""
    size = 2 + len(words) if length is None else length
    return struct.pack(f"<{2 + len(words)}I", vendor | object_type << 16 | reserved, size, *words)


def _entry(bench: Bench, index: int) -> Steps[tuple[int, int, int] | None]:
    """(vendor, type, next index) of a Discovery answer."""
    answer = yield from bench.doe(obj(0, (index,)))
    if answer is None or len(answer) != 12:
        return None
    word, = struct.unpack_from("<I", answer, 8)
    return word & 0xFFFF, word >> 16 & 0xFF, word >> 24


def _lives(bench: Bench, check: Checks, number: int) -> Steps[None]:
    """Assertion `number`: Discovery is answered."""
    entry = yield from _entry(bench, 0)
    check.that(number, entry is not None and entry[:2] == (1, 0), entry, "(1, 0, ...)")


def discovery_first(bench: Bench, check: Checks) -> Steps[None]:
    answer = yield from bench.doe(obj(0, (0,)))
    data = answer or b""
    check(1, len(data), 12)
    check(2, data[:4], b"\1\0\0\0")
    check(3, data[4:8], b"\3\0\0\0")
    check(4, data[8:11], b"\1\0\0")


def discovery_list(bench: Bench, check: Checks) -> Steps[None]:
    found, index = [], 0
    for _ in range(256):
        entry = yield from _entry(bench, index)
        if entry is None:
            break
        found.append(entry[:2])
        if not check.that(2, entry[2] == 0 or entry[2] > index, entry[2], f"0 or above {index}"):
            break
        index = entry[2]
        if index == 0:
            break
    check.that(1, {(1, 0), (1, 1), (1, 2)} <= set(found), found, "types 0, 1 and 2 of 0001h")
    check.that(3, len(set(found)) == len(found), found, "no entry twice")


def discovery_beyond(bench: Bench, check: Checks) -> Steps[None]:
    entry = yield from _entry(bench, 0xFF)
    check.that(1, entry is None or entry[0] == 0xFFFF, entry, "Vendor ID FFFFh, or no answer")
    check.that(2, entry is None or entry[2] == 0, entry, "Next Index 0")
    yield from _lives(bench, check, 3)


def discarded(request: bytes) -> CaseSteps:
    """No answer, and the mailbox takes the next object."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        answer = yield from bench.doe(request)
        check.that(1, answer is None, answer, "no answer")
        yield from _lives(bench, check, 2)
    return steps


def reserved_length(bench: Bench, check: Checks) -> Steps[None]:
    answer = yield from bench.doe(obj(0, (0,), length=3 | 1 << 18))
    check(1, (answer or b"")[8:11], b"\1\0\0")


def answer_type(bench: Bench, check: Checks) -> Steps[None]:
    answer = (yield from bench.doe(obj(1, (0x00008410,)))) or b""
    check(1, answer[:4], b"\1\0\1\0")
    check(2, struct.unpack_from("<I", answer.ljust(8, b"\0"), 4)[0], len(answer) // 4)
    check(3, len(answer) % 4, 0)
    size = 6 + 2 * answer[13] if len(answer) > 13 else 0
    check(4, answer[8 + size:], bytes(len(answer) - 8 - size))


# Registers ----------------------------------------------------------------------------------------

def _read(bench: Bench, register: int) -> Steps[int]:
    assert bench.mailbox is not None
    return (yield from cfg_read(bench.mailbox.bdf, bench.mailbox.offset + register))


def _write(bench: Bench, register: int, value: int) -> Steps[None]:
    assert bench.mailbox is not None
    yield from cfg_write(bench.mailbox.bdf, bench.mailbox.offset + register, value)


def _send(bench: Bench, request: bytes) -> Steps[None]:
    for word, in struct.iter_unpack("<I", request):
        yield from _write(bench, WRITE, word)
    yield from _write(bench, CONTROL, GO)


def _poll(bench: Bench, mask: int, value: int) -> Steps[int]:
    """Status once `mask` reads `value`, or as it is after a second."""
    status = yield from _read(bench, STATUS)
    for _ in range(POLLS):
        if status & mask == value:
            break
        yield from wait(POLL_CYCLES)
        status = yield from _read(bench, STATUS)
    return status


def ready_protocol(bench: Bench, check: Checks) -> Steps[None]:
    check(1, (yield from _read(bench, STATUS)) & (BUSY | ERROR | READY), 0)
    yield from _send(bench, obj(0, (0,)))
    check(2, (yield from _poll(bench, READY, READY)) & (READY | ERROR), READY)
    for number in range(3):
        yield from _read(bench, READ)
        check(3, (yield from _read(bench, STATUS)) & READY, READY)
        yield from _write(bench, READ, number)
    check(4, (yield from _read(bench, STATUS)) & (BUSY | ERROR | READY), 0)


def control_reads_zero(bench: Bench, check: Checks) -> Steps[None]:
    yield from _write(bench, CONTROL, ABORT)
    check(1, (yield from _read(bench, CONTROL)) & (ABORT | GO), 0)
    yield from _poll(bench, BUSY | ERROR | READY, 0)
    yield from _send(bench, obj(0, (0,)))
    check(1, (yield from _read(bench, CONTROL)) & (ABORT | GO), 0)
    yield from _write(bench, CONTROL, ABORT)
    check(2, (yield from _poll(bench, BUSY | ERROR | READY, 0)) & (BUSY | ERROR | READY), 0)


def abort_drops(bench: Bench, check: Checks) -> Steps[None]:
    yield from _send(bench, obj(0, (0,)))
    yield from _poll(bench, READY, READY)
    yield from _write(bench, CONTROL, ABORT)
    check(1, (yield from _poll(bench, BUSY | ERROR | READY, 0)) & (BUSY | ERROR | READY), 0)
    check(2, (yield from _read(bench, READ)), 0)
    yield from _lives(bench, check, 3)


def abort_wins(bench: Bench, check: Checks) -> Steps[None]:
    for word in (0x1, 3, 0):
        yield from _write(bench, WRITE, word)
    yield from _write(bench, CONTROL, ABORT | GO)
    yield from wait(POLL_CYCLES)
    check(1, (yield from _poll(bench, BUSY | ERROR | READY, 0)) & READY, 0)
    yield from _lives(bench, check, 2)


def underflow(bench: Bench, check: Checks) -> Steps[None]:
    yield from _write(bench, READ, 0)
    check(1, (yield from _read(bench, STATUS)) & ERROR, ERROR)
    yield from _write(bench, CONTROL, ABORT)
    check(2, (yield from _poll(bench, BUSY | ERROR | READY, 0)) & (BUSY | ERROR | READY), 0)
    yield from _lives(bench, check, 3)


def empty_go(bench: Bench, check: Checks) -> Steps[None]:
    yield from _write(bench, CONTROL, GO)
    yield from wait(POLL_CYCLES)
    check(1, (yield from _read(bench, STATUS)) & (ERROR | READY), 0)
    yield from _lives(bench, check, 2)


def _case(name: str, title: str, steps: CaseSteps, assertions: tuple[str, ...], clause: str, *,
          needs: tuple[str, ...] = ("doe",), level: Level = Level.MUST,
          note: str = "") -> Case:
    return Case(id=f"doe.{name}", title=title, clause=clause, steps=steps, assertions=assertions,
                needs=needs, level=level, note=note)


_GONE: Final = ("no answer", "Discovery is answered afterwards")
_QUIET: Final = "Busy, Error and Ready are clear"

CASES: Final[tuple[Case, ...]] = (
    _case("discovery.first", "Discovery of index 0", discovery_first,
          ("3 DWs", "vendor 0001h, type 0, reserved 0", "Length 3, reserved 0", "0001h, type 0"),
          _DISCOVERY),
    _case("discovery.list", "the list of object types", discovery_list,
          ("Discovery, SPDM and secured SPDM are in it", "Next Index ascends and ends in 0",
           "no entry comes twice"), _DISCOVERY),
    _case("discovery.beyond", "Discovery of an index that is not there", discovery_beyond,
          ("Vendor ID FFFFh or no answer", "the list ends", "Discovery is answered afterwards"),
          _DISCOVERY, note="Public responders answer FFFFh with type 0 or FFh, or drop it."),
    *(_case(f"discard.{name}", title, discarded(request), _GONE, _RULES, note=note)
      for name, title, request, note in (
          ("long-length", "Length larger than what was written", obj(0, (0,), length=4), ""),
          ("short-length", "Length smaller than what was written", obj(0, (0, 0), length=3), ""),
          ("length-1", "Length 1", obj(0, (0,), length=1), "1 is illegal"),
          ("length-0", "Length 0, which stands for 2^18", obj(0, (0,), length=0), ""),
          ("vendor", "an unknown Vendor ID", obj(0, (0,), vendor=0x7EE0), ""),
          ("type", "an unknown type of 0001h", obj(0x7F, (0,)), ""),
          ("no-payload", "Discovery without its DW", obj(0), ""))),
    _case("reserved.length", "reserved bits of the Length DW are ignored", reserved_length,
          ("Discovery is answered",), _OBJECT, level=Level.SHOULD,
          note="One public responder checks them; the text says ignore."),
    _case("answer.type", "an answer has the type of the request, padded with zeros", answer_type,
          ("vendor 0001h, type 1", "Length is that of the object", "whole DWs", "padding is zero"),
          _OBJECT),
    _case("mailbox.ready", "Ready until the last DW is acknowledged, not until it is read",
          ready_protocol, (_QUIET + " at first", "Ready within a second", "Ready while DWs remain",
                           _QUIET + " after the last"), _RULES, needs=_REGISTERS),
    _case("mailbox.control", "Abort and Go read as 0", control_reads_zero,
          ("Abort and Go read as 0", _QUIET + " after Abort"), _RULES, needs=_REGISTERS),
    _case("mailbox.abort", "Abort drops an answer that waits", abort_drops,
          (_QUIET, "the read mailbox reads 0", "Discovery is answered afterwards"), _RULES,
          needs=_REGISTERS),
    _case("mailbox.abort-and-go", "Abort together with Go is Abort", abort_wins,
          ("no answer", "Discovery is answered afterwards"), _RULES, needs=_REGISTERS,
          level=Level.SHOULD),
    _case("mailbox.underflow", "an acknowledgement with nothing ready is an Error until Abort",
          underflow, ("Error", _QUIET + " after Abort", "Discovery is answered afterwards"), _RULES,
          needs=_REGISTERS, level=Level.SHOULD, note="Known from one public implementation."),
    _case("mailbox.empty-go", "Go with an empty mailbox", empty_go,
          ("neither Error nor Ready", "Discovery is answered afterwards"), _RULES,
          needs=_REGISTERS, level=Level.SHOULD),
)
