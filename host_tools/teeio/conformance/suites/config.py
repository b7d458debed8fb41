# SPDX-License-Identifier: Apache-2.0
"""Configuration space of a TEE-IO device, and register changes in CONFIG_LOCKED and RUN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from teeio.conformance.bench import Bench
from teeio.conformance.model import Case, CaseSteps, Checks, Level, SkipCase
from teeio.conformance.suites.tdisp_parts import check_state
from teeio.core.enumerate import Function
from teeio.core.ops import Steps, cfg_read, cfg_write, wait
from teeio.core.stream_block import StreamBlock
from teeio.wire.tdisp import TdiState

U, L, R, E = TdiState
PM, PCIE, MSIX = 0x01, 0x10, 0x11
AER, DOE, IDE = 0x0001, 0x002E, 0x0030
FLR_CYCLES: Final = 4_800_000
"""100 ms at 48 MHz."""
_CONFIG: Final = ("doe", "config")


def _each(bench: Bench) -> list[Function]:
    return bench.functions


def identity(bench: Bench, check: Checks) -> Steps[None]:
    for function in _each(bench):
        ids = yield from cfg_read(function.bdf, 0)
        check.that(1, ids & 0xFFFF not in (0, 0xFFFF), f"{ids:#010x}", "a Vendor ID")
        header = (yield from cfg_read(function.bdf, 0x0C)) >> 16 & 0xFF
        check(2, header & 0x7F, 0)
        check(3, header >> 7, int(len(bench.functions) > 1))
        yield from cfg_write(function.bdf, 0, 0)
        check(4, (yield from cfg_read(function.bdf, 0)), ids)


def absent_functions(bench: Bench, check: Checks) -> Steps[None]:
    there = {function.number for function in bench.functions}
    free = [n for n in range(8) if n not in there]
    if not free:
        raise SkipCase("all eight functions are there")
    base = bench.functions[0].bdf & ~7
    for number in free:
        check(1, (yield from cfg_read(base | number, 0)), 0xFFFF_FFFF)


def capability_lists(bench: Bench, check: Checks) -> Steps[None]:
    for function in _each(bench):
        status = (yield from cfg_read(function.bdf, 4)) >> 16
        check(1, status >> 4 & 1, 1)
        check.that(2, {PM, PCIE} <= set(function.caps), sorted(function.caps), "PM and PCIe")
        check.that(3, AER in function.ecaps, sorted(function.ecaps), "AER")
        check.that(4, all(at % 4 == 0 and at >= 0x100 for at in function.ecaps.values()),
                   sorted(function.ecaps.values()), "DW aligned, 100h or more")


def device_capabilities(bench: Bench, check: Checks) -> Steps[None]:
    for function in _each(bench):
        at = function.caps[PCIE]
        header = yield from cfg_read(function.bdf, at)
        check(1, header >> 16 & 0xF, 2)
        check.that(2, header >> 20 & 0xF in (0, 1), header >> 20 & 0xF, "an endpoint")
        value = yield from cfg_read(function.bdf, at + 4)
        check(3, value >> 15 & 1, 1)
        check(4, value >> 28 & 1, 1)
        yield from cfg_write(function.bdf, at + 4, 0)
        check(5, (yield from cfg_read(function.bdf, at + 4)), value)
    value = yield from cfg_read(bench.function.bdf, bench.function.caps[PCIE] + 4)
    check(6, value >> 30 & 1, 1)


def doe_and_ide(bench: Bench, check: Checks) -> Steps[None]:
    first = bench.functions[0]
    check.that(1, {DOE, IDE} <= set(first.ecaps), sorted(first.ecaps), "DOE and IDE")
    if IDE not in first.ecaps:
        return
    check.that(2, not any(IDE in f.ecaps for f in bench.functions[1:]), "IDE elsewhere",
               "IDE in function 0 alone")
    value = yield from cfg_read(first.bdf, first.ecaps[IDE] + 4)
    check(3, value & 0x42, 0x42)
    check(4, value >> 8 & 0x1F, 0)
    at = first.ecaps[IDE] + 12 + (8 * ((value >> 13 & 7) + 1) if value & 1 else 0)
    numbers = []
    for _ in range((value >> 16 & 0xFF) + 1):
        number = (yield from cfg_read(first.bdf, at)) & 0xF
        numbers.append(number)
        at += 20 + 12 * number
    check(5, len(set(numbers)), 1)


def bars(bench: Bench, check: Checks) -> Steps[None]:
    for function in _each(bench):
        low = yield from cfg_read(function.bdf, 0x10)
        check(1, low & 7, 4)
        check.that(2, function.bar0_size >= 4096, function.bar0_size, "4096 or more")
        high = yield from cfg_read(function.bdf, 0x14)
        check(3, high << 32 | low & ~0xF, function.bar0)


def msix_pages(bench: Bench, check: Checks) -> Steps[None]:
    function = bench.function
    if MSIX not in function.caps:
        raise SkipCase("no MSI-X capability")
    table = yield from cfg_read(function.bdf, function.caps[MSIX] + 4)
    pba = yield from cfg_read(function.bdf, function.caps[MSIX] + 8)
    check(1, table % 4096 & ~7, 0)
    check(2, pba % 4096 & ~7, 0)
    check.that(3, (table & 7, table >> 12) != (pba & 7, pba >> 12), f"{table:#x} {pba:#x}",
               "different pages")


# Register changes in CONFIG_LOCKED and RUN --------------------------------------------------------

@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One register change: of which function, where, and to what (from the value it has).

    Attributes:
        to_error: the TDI must go to ERROR; else it must stay.
        lock_flags: FLAGS of LOCK_INTERFACE.
        settle_cycles: time that the change takes.
        of_stream: the register belongs to function 0's stream.
    """

    name: str
    title: str
    offset: Callable[[Function, StreamBlock], int | None]
    value: Callable[[int], int]
    to_error: bool
    lock_flags: int = 0
    settle_cycles: int = 0
    of_stream: bool = False
    level: Level = Level.MUST


def _capability(identity: int, more: int) -> Callable[[Function, StreamBlock], int | None]:
    return lambda f, b: f.caps[identity] + more if identity in f.caps else None


def _extended(identity: int, more: int) -> Callable[[Function, StreamBlock], int | None]:
    return lambda f, b: f.ecaps[identity] + more if identity in f.ecaps else None


def _at(offset: int) -> Callable[[Function, StreamBlock], int | None]:
    return lambda f, b: offset


def _address_block(function: Function, block: StreamBlock) -> int | None:
    return block.offset + 0x14 if block.addresses else None


_LOW: Final = 0xFFFF
CHANGES: Final[tuple[Change, ...]] = (
    Change(name="memory-space", title="Memory Space Enable is cleared", offset=_at(4),
           value=lambda v: v & _LOW & ~2, to_error=True),
    Change(name="bus-master", title="Bus Master Enable is cleared", offset=_at(4),
           value=lambda v: v & _LOW & ~4, to_error=True),
    Change(name="serr", title="SERR# Enable changes", offset=_at(4),
           value=lambda v: v & _LOW ^ 1 << 8, to_error=False),
    Change(name="status", title="Status bits are written", offset=_at(4),
           value=lambda v: v & _LOW | 0xF900_0000, to_error=False),
    Change(name="bar0", title="BAR0 changes", offset=_at(0x10), value=lambda v: v ^ 1 << 24,
           to_error=True),
    Change(name="bar0-high", title="the upper half of BAR0 changes", offset=_at(0x14),
           value=lambda v: v ^ 1, to_error=True),
    Change(name="bist", title="BIST is written", offset=_at(0x0C), value=lambda v: v | 1 << 30,
           to_error=True, level=Level.SHOULD),
    Change(name="interrupt-line", title="Interrupt Line changes", offset=_at(0x3C),
           value=lambda v: v ^ 0x0B, to_error=False),
    Change(name="no-snoop", title="No Snoop Enable changes", offset=_capability(PCIE, 8),
           value=lambda v: v & _LOW & 0x7FFF ^ 1 << 11, to_error=True),
    Change(name="extended-tag", title="Extended Tag Enable changes", offset=_capability(PCIE, 8),
           value=lambda v: v & _LOW & 0x7FFF ^ 1 << 8, to_error=True),
    Change(name="flr", title="Initiate Function Level Reset", offset=_capability(PCIE, 8),
           value=lambda v: v & _LOW | 1 << 15, to_error=True, settle_cycles=FLR_CYCLES),
    Change(name="device-status", title="Device Status bits are written",
           offset=_capability(PCIE, 8), value=lambda v: v & 0x7FFF | 0xF << 16, to_error=False),
    Change(name="msix-unlocked", title="MSI-X Function Mask changes, the table is not locked",
           offset=_capability(MSIX, 0), value=lambda v: v ^ 1 << 30, to_error=False,
           level=Level.SHOULD),
    Change(name="msix-locked", title="MSI-X Function Mask changes, the table is locked",
           offset=_capability(MSIX, 0), value=lambda v: v ^ 1 << 30, to_error=True,
           lock_flags=1 << 2),
    Change(name="aer-mask", title="an AER mask changes", offset=_extended(AER, 8),
           value=lambda v: v ^ 1 << 16, to_error=False),
    Change(name="stream-control", title="control of the bound stream is written",
           offset=lambda f, b: b.control, value=lambda v: v ^ 1 << 8, to_error=True,
           of_stream=True),
    Change(name="stream-disable", title="the bound stream is disabled",
           offset=lambda f, b: b.control, value=lambda v: v & ~1, to_error=True, of_stream=True),
    Change(name="stream-rid", title="RID association of the bound stream changes",
           offset=lambda f, b: b.offset + 0x0C, value=lambda v: v ^ 1 << 8, to_error=True,
           of_stream=True),
    Change(name="stream-address", title="address association of the bound stream changes",
           offset=_address_block, value=lambda v: v ^ 1, to_error=True, of_stream=True),
)


def changed(change: Change, state: TdiState) -> CaseSteps:
    """The write completes, and the TDI goes to ERROR or stays."""
    def steps(bench: Bench, check: Checks) -> Steps[None]:
        function = bench.functions[0] if change.of_stream else bench.function
        offset = change.offset(function, (yield from bench.block()))
        if offset is None:
            raise SkipCase("the device has no such register")
        if change.name == "extended-tag" and not function.device_capabilities & 1 << 5:
            raise SkipCase("Extended Tag is not supported")
        yield from bench.tdi_in(state, flags=change.lock_flags)
        value = yield from cfg_read(function.bdf, offset)
        check.that(1, value != 0xFFFF_FFFF, value, "a register")
        yield from cfg_write(function.bdf, offset, change.value(value))
        if change.settle_cycles:
            yield from wait(change.settle_cycles)
        yield from check_state(bench, check, 2, E if change.to_error else state)
        if change.of_stream:
            bench.lose_stream()
        yield from bench.stop_tdi()
        yield from check_state(bench, check, 3, U)
        yield from bench.restore()
    return steps


def other_tdi(bench: Bench, check: Checks) -> Steps[None]:
    mine = bench.function
    others = [f for f in bench.functions if f.tee_io and f.number > 0 and f is not mine]
    if not others:
        raise SkipCase("there is one TDI only")
    yield from bench.tdi_in(R)
    command = (yield from cfg_read(others[0].bdf, 4)) & _LOW
    yield from cfg_write(others[0].bdf, 4, command & ~4)
    yield from check_state(bench, check, 1, R)
    yield from bench.stop_tdi()
    yield from bench.restore()


def conventional_reset(bench: Bench, check: Checks) -> Steps[None]:
    yield from bench.tdi_in(R)
    yield from bench.reset()
    yield from check_state(bench, check, 1, U)
    check.that(2, (yield from bench.stream_state()) != 2, "Secure", "not Secure")


def _static(name: str, title: str, clause: str, steps: CaseSteps, assertions: tuple[str, ...],
            level: Level = Level.MUST, note: str = "") -> Case:
    return Case(id=f"config.{name}", title=title, clause=f"PCIe Base 6.x {clause}", steps=steps,
                assertions=assertions, needs=_CONFIG, level=level, note=note)


CASES: Final[tuple[Case, ...]] = (
    _static("identity", "header of every function", "7.5.1", identity,
            ("a Vendor ID", "header layout 0", "the multi-function bit", "identity is read-only")),
    _static("absent-functions", "a function that is not there", "2.3.1", absent_functions,
            ("reads all ones",)),
    _static("lists", "capability lists of every function", "7.5, 7.6", capability_lists,
            ("Capabilities List is set", "PM and PCIe", "AER", "offsets of extended ones")),
    _static("device-capabilities", "Device Capabilities", "7.5.3.3", device_capabilities,
            ("capability version 2", "an endpoint", "Role-Based Error Reporting", "FLR",
             "read-only", "TEE-IO Supported in the TDI's function")),
    _static("doe-and-ide", "DOE and IDE in function 0", "7.9.24, 7.9.26", doe_and_ide,
            ("both are there", "IDE nowhere else", "selective streams and IDE_KM", "AES-GCM 256",
             "all stream blocks have the same number of address blocks"),
            note="The last is what a public host insists on."),
    _static("bars", "BAR0 of every function", "7.5.1.2.1", bars,
            ("64-bit memory", "whole pages", "the address that was written")),
    _static("msix-pages", "MSI-X table and PBA have pages of their own", "7.7.2, 11.3.11",
            msix_pages, ("the table starts a page", "the PBA starts a page", "two pages"),
            Level.SHOULD),
    *(Case(id=f"config.{change.name}-in-{state.name.lower().replace('config_', '')}",
           title=f"{change.title} in {state.name}: {'ERROR' if change.to_error else 'allowed'}",
           clause="PCIe Base 6.x 11.2, table of register changes", steps=changed(change, state),
           assertions=("the register is there",
                       "the state is ERROR" if change.to_error else "the state is kept",
                       "STOP leads to CONFIG_UNLOCKED"), needs=_CONFIG, level=change.level)
      for change in CHANGES for state in (L, R)),
    _static("other-function", "a change in another TDI's function does not matter", "11.2",
            other_tdi, ("the state is kept",)),
    Case(id="config.conventional-reset", title="a conventional reset in RUN",
         clause="PCIe Base 6.x 11.2", steps=conventional_reset, needs=("doe", "config", "reset"),
         assertions=("the TDI is CONFIG_UNLOCKED", "the stream is not Secure")),
)
