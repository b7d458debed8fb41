# SPDX-License-Identifier: Apache-2.0
"""doe_mailbox: the operating rules of DOE, against a model written from the rules."""

from __future__ import annotations

import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from cocotb_tests.doe.mailbox_model import (
    ABORT,
    BUSY,
    ERROR,
    GO,
    INT_ENABLE,
    INT_STATUS,
    READY,
    MailboxModel,
    Phase,
)
from cocotb_tests.env.runner import simulate

SOURCES = ["dsm/dsm_ram.sv", "doe/doe_mailbox.sv"]
FULL_DW = 1154  # 1200h bytes and the two header DWs
SMALL_DW = 12
SMALL_TIMEOUT = 3000
CONTROL, STATUS, WRITE_DATA, READ_DATA = 2, 3, 4, 5  # DW offsets in the capability


@pytest.mark.parametrize("size", ["small", "full"])
def test_doe_mailbox(size: str) -> None:
    parameters = {"BufferDw": FULL_DW}
    if size == "small":
        parameters = {"BufferDw": SMALL_DW, "TimeoutCycles": SMALL_TIMEOUT}
    simulate("doe_mailbox", __name__, sources=SOURCES, parameters=parameters,
             extra_env={"DOE_SIZE": size})


class Bench:
    """Drives both sides of the mailbox and counts interrupts; never checks."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.irqs = 0
        self.strobes = ("cfg_write_i", "flr_i", "take_i", "abort_ack_i", "respond_i", "discard_i",
                        "fail_i", "rsp_we_i", "wipe_i")

    async def start(self) -> None:
        for name in (*self.strobes, "cfg_addr_i", "cfg_wdata_i", "respond_dw_i", "req_addr_i",
                     "rsp_be_i", "rsp_addr_i", "rsp_wdata_i", "wipe_addr_i"):
            getattr(self.dut, name).value = 0
        Clock(self.dut.clk_i, 10, unit="ns").start()
        self.dut.rst_i.value = 1
        await self.idle(4)
        self.dut.rst_i.value = 0
        cocotb.start_soon(self._watch())
        await self.idle(2)

    async def _watch(self) -> None:
        while True:
            await FallingEdge(self.dut.clk_i)
            self.irqs += int(self.dut.irq_o.value)

    async def idle(self, cycles: int) -> None:
        for _ in range(cycles):
            await FallingEdge(self.dut.clk_i)

    async def pulse(self, *names: str) -> None:
        """Raise some strobes for the same single cycle."""
        for name in names:
            getattr(self.dut, name).value = 1
        await FallingEdge(self.dut.clk_i)
        for name in names:
            getattr(self.dut, name).value = 0

    async def write(self, register: int, value: int, *also: str) -> None:
        self.dut.cfg_addr_i.value = register
        self.dut.cfg_wdata_i.value = value
        await self.pulse("cfg_write_i", *also)

    def control(self) -> int:
        return int(self.dut.cfg_control_o.value)

    def status(self) -> int:
        return int(self.dut.cfg_status_o.value)

    def read_data(self) -> int:
        return int(self.dut.cfg_read_data_o.value)

    async def send(self, dws: list[int]) -> None:
        for dw in dws:
            await self.write(WRITE_DATA, dw)
        await self.write(CONTROL, GO)
        await self.idle(2)

    async def fetch_request(self) -> list[int]:
        """What the firmware finds in the request buffer."""
        out = []
        for i in range(int(self.dut.request_dw_o.value)):
            self.dut.req_addr_i.value = i
            await self.idle(1)
            out.append(int(self.dut.req_rdata_o.value))
        return out

    async def fill_response(self, dws: list[int]) -> None:
        self.dut.rsp_be_i.value = 0xF
        for i, dw in enumerate(dws):
            self.dut.rsp_addr_i.value = i
            self.dut.rsp_wdata_i.value = dw
            await self.pulse("rsp_we_i")

    async def receive(self) -> list[int]:
        """Read a response as a host does: read, then acknowledge, while Ready stands."""
        out = []
        while self.status() & READY:
            out.append(self.read_data())
            await self.write(READ_DATA, 0)
            await self.idle(2)
        return out

    async def exchange(self, request: list[int], response: list[int]) -> None:
        """One good exchange, checked word by word on both sides."""
        assert self.status() & (BUSY | ERROR | READY) == 0
        await self.send(request)
        assert int(self.dut.go_o.value) == 1
        await self.pulse("take_i")
        assert int(self.dut.held_o.value) == 1
        assert await self.fetch_request() == request
        await self.fill_response(response)
        self.dut.respond_dw_i.value = len(response)
        await self.pulse("respond_i")
        await self.idle(2)
        assert await self.receive() == response
        assert self.status() & (BUSY | ERROR | READY) == 0


def make_object(rng: random.Random, length: int) -> list[int]:
    """A data object with a consistent header."""
    return [rng.getrandbits(24), length, *(rng.getrandbits(32) for _ in range(length - 2))]


def is_full() -> bool:
    return os.environ["DOE_SIZE"] == "full"


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def exchanges_of_every_small_length_keep_dw_order(dut) -> None:
    """Rules 1 and 2: what is written is read, in order, for the shortest to the longest object."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(1)
    lengths = [2, 3, 7, FULL_DW] if is_full() else range(2, SMALL_DW + 1)
    for length in lengths:
        await bench.exchange(make_object(rng, length), make_object(rng, length))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def ready_survives_reads_and_falls_with_the_last_acknowledge(dut) -> None:
    """Rule 2: reading never advances; the value of the acknowledging write is ignored."""
    bench = Bench(dut)
    await bench.start()
    request, response = [0x0001, 3, 7], [0x0001, 3, 0xA5A5_0001]
    await bench.send(request)
    await bench.pulse("take_i")
    await bench.fill_response(response)
    dut.respond_dw_i.value = 3
    await bench.pulse("respond_i")
    for i, dw in enumerate(response):
        await bench.idle(10)
        assert bench.read_data() == dw
        assert bench.status() & READY, "Ready fell before the last DW was acknowledged"
        assert bench.status() & BUSY
        await bench.write(READ_DATA, 0xFFFF_FFFF * (i & 1))
        await bench.idle(1)
    assert bench.status() == 0 and bench.read_data() == 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def one_dw_too_many_is_an_error_until_abort(dut) -> None:
    """Rule 10: overflow at DW 1155; everything is refused until Abort; then all is well again."""
    bench = Bench(dut)
    await bench.start()
    capacity = FULL_DW if is_full() else SMALL_DW
    rng = random.Random(2)
    await bench.write(CONTROL, INT_ENABLE)
    big = make_object(rng, capacity)
    for dw in big:
        await bench.write(WRITE_DATA, dw)
    await bench.idle(2)
    assert bench.status() == 0, "a full buffer is no error"
    await bench.write(WRITE_DATA, 0xDEAD)
    await bench.idle(2)
    assert bench.status() == ERROR | INT_STATUS and bench.irqs == 1
    await bench.write(CONTROL, GO)
    await bench.write(WRITE_DATA, 1)
    await bench.idle(4)
    assert bench.status() & (ERROR | BUSY) == ERROR and int(dut.go_o.value) == 0
    await bench.write(STATUS, INT_STATUS)
    await bench.write(CONTROL, ABORT)
    await bench.idle(2)
    assert bench.status() == 0 and int(dut.abort_o.value) == 1
    await bench.pulse("abort_ack_i")
    await bench.exchange(big, make_object(rng, capacity))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def any_wrong_length_is_discarded_in_silence(dut) -> None:
    """Rules 8 and 11: no Ready, no Error, no event, no interrupt, and the next object is clean."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(3)
    await bench.write(CONTROL, INT_ENABLE)
    for written in range(0, 6):
        for length in (0, 1, 2, 3, 4, 5, 6, 7, written + (1 << 17), 0x3FFFF):
            if length == written and written >= 2:
                continue
            for dw in [1, length, *range(10)][:written]:
                await bench.write(WRITE_DATA, dw)
            await bench.write(CONTROL, GO | INT_ENABLE)
            for _ in range(4):
                await bench.idle(1)
                assert bench.status() == 0 and int(dut.go_o.value) == 0
    assert bench.irqs == 0
    # Reserved bits above Length do not take part in the comparison.
    await bench.exchange([1, 0xFFFC_0003, 5], make_object(rng, 4))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def abort_and_go_together_is_abort(dut) -> None:
    """Rule 6."""
    bench = Bench(dut)
    await bench.start()
    for dw in (1, 3, 9):
        await bench.write(WRITE_DATA, dw)
    await bench.write(CONTROL, GO | ABORT)
    await bench.idle(3)
    assert bench.status() == 0 and int(dut.go_o.value) == 0
    assert bench.control() == 0, "Go and Abort read back as 0"
    await bench.write(CONTROL, GO)
    await bench.idle(3)
    assert bench.status() == 0, "the aborted DWs must be gone"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def abort_at_every_point_leaves_a_working_mailbox(dut) -> None:
    """Rule 5 and 14, Abort and FLR in the very cycle of each action of the firmware.

    After it: no Ready, no Error, Busy only while the firmware still holds the object, a late
    answer reaches nobody, and the next exchange carries only its own words.
    """
    if is_full():
        return
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(4)
    firmware = (None, "take_i", "respond_i", "discard_i", "fail_i", "abort_ack_i")
    points = ["idle", "partial", "offered", "taken", "answered", "last", "zombie"]
    for kill in ("abort", "flr"):
        for point in points:
            for strobe in firmware:
                if strobe == "fail_i" and point in ("idle", "partial"):
                    continue  # a fault without an exchange is a case of its own
                request = make_object(rng, 5)
                held = False
                if point == "partial":
                    for dw in request[:3]:
                        await bench.write(WRITE_DATA, dw)
                elif point != "idle":
                    await bench.send(request)
                if point in ("taken", "answered", "last", "zombie"):
                    await bench.pulse("take_i")
                    held = True
                if point == "zombie":
                    await bench.write(CONTROL, ABORT)
                if point in ("answered", "last"):
                    await bench.fill_response([0xBAD0 + i for i in range(4)])
                    dut.respond_dw_i.value = 4
                    await bench.pulse("respond_i")
                    held = False
                    for _ in range(3 if point == "last" else 1):
                        await bench.write(READ_DATA, 0)
                dut.respond_dw_i.value = 4
                extra = [strobe] if strobe else []
                if kill == "abort":
                    await bench.write(CONTROL, ABORT, *extra)
                else:
                    await bench.pulse("flr_i", *extra)
                if strobe == "take_i" and point == "offered":
                    held = True
                if strobe in ("respond_i", "discard_i", "fail_i") and held:
                    held = False
                where = f"{kill} at {point} with {strobe}"
                await bench.idle(1)
                assert bench.status() == BUSY * held, where
                assert int(dut.abort_o.value) == 1, where
                assert int(dut.go_o.value) == 0 and int(dut.held_o.value) == 0, where
                if held:
                    # A host that does not wait loses its DWs, nothing else.
                    await bench.write(WRITE_DATA, 0x5555)
                    await bench.write(CONTROL, GO)
                    assert int(dut.go_o.value) == 0, where
                    await bench.pulse(rng.choice(["respond_i", "discard_i", "fail_i",
                                                  "abort_ack_i"]))
                    await bench.idle(1)
                    assert bench.status() == 0, where
                await bench.pulse("abort_ack_i")
                assert int(dut.abort_o.value) == 0, where
                await bench.exchange(make_object(rng, 4), make_object(rng, 6))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def no_answer_within_the_second_is_an_error(dut) -> None:
    """Rule 7: Error from the device's own clock, whether or not the firmware took the object."""
    if is_full():
        return
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(5)
    for taken in (False, True):
        await bench.send(make_object(rng, 3))
        if taken:
            await bench.pulse("take_i")
        await bench.idle(SMALL_TIMEOUT - 20)
        assert bench.status() == BUSY
        await bench.idle(40)
        assert bench.status() == ERROR | BUSY * taken
        assert int(dut.go_o.value) == 0
        if taken:
            dut.respond_dw_i.value = 2
            await bench.pulse("respond_i")  # too late
            await bench.idle(2)
            assert bench.status() == ERROR
        await bench.write(CONTROL, ABORT)
        await bench.pulse("abort_ack_i")
        await bench.exchange(make_object(rng, 3), make_object(rng, 3))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def fault_in_the_cycle_of_go_wins(dut) -> None:
    """Rule 10: with Error set no exchange may begin, not even one of the same cycle."""
    bench = Bench(dut)
    await bench.start()
    for dw in (1, 3, 5):
        await bench.write(WRITE_DATA, dw)
    await bench.write(CONTROL, GO, "fail_i")
    await bench.idle(2)
    assert bench.status() == ERROR and int(dut.go_o.value) == 0
    await bench.write(CONTROL, ABORT)
    await bench.exchange([1, 3, 6], [1, 2])


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def buffers_can_be_wiped(dut) -> None:
    """After the wipe sequence neither side finds a word of before; Busy stands meanwhile."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(6)
    await bench.exchange(make_object(rng, 9), make_object(rng, 10))
    dut.rst_i.value = 1
    await bench.idle(2)
    dut.wipe_i.value = 1
    dut.rst_i.value = 0
    for address in range(SMALL_DW):
        dut.wipe_addr_i.value = address
        await bench.write(WRITE_DATA, 0xFFFF_FFFF)
        assert bench.status() == BUSY
    dut.wipe_i.value = 0
    for address in range(SMALL_DW):
        dut.req_addr_i.value = address
        dut.rsp_addr_i.value = address
        await bench.idle(1)
        assert int(dut.req_rdata_o.value) == 0
        assert int(dut.rsp_rdata_o.value) == 0
    assert int(dut.request_dw_o.value) == 0, "a DW written while Busy must be dropped"


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(seed=[11, 12, 13, 14])
async def random_sequences_agree_with_the_model(dut, seed: int) -> None:
    """Any sequence of host and firmware actions gives the registers that the rules give."""
    if is_full():
        return
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(seed)
    model = MailboxModel(SMALL_DW)
    age = 0
    seen: set[tuple[Phase, str]] = set()

    async def host_control(value: int) -> None:
        model.write_control(value)
        await bench.write(CONTROL, value)

    for step in range(2000):
        age = 0 if model.phase is Phase.HOST_WRITES else age + 1
        kinds = ["push"] * 4 + ["object"] * 2 + ["go", "status", "take", "take", "respond",
                 "respond", "discard", "ack", "ack", "ack", "read_all"]
        rare = ["abort", "both", "flr", "fail", "abort_ack", "abort_ack", "bad_respond", "enable",
                "underflow"]
        kind = "abort" if age > 200 else rng.choice(rare if rng.random() < 0.2 else kinds)
        if kind == "ack" and model.phase is not Phase.ANSWERED:
            kind = "push"
        if model.error and rng.random() < 0.3:
            kind = "abort"
        seen.add((model.phase, kind))
        enable = rng.choice([0, INT_ENABLE])
        if kind == "push":
            dw = rng.choice([rng.getrandbits(32), rng.randrange(8)])
            model.push(dw)
            await bench.write(WRITE_DATA, dw)
        elif kind == "object":
            limit = SMALL_DW - len(model.request)
            for dw in make_object(rng, max(2, min(limit, rng.randrange(2, 8)))):
                model.push(dw)
                await bench.write(WRITE_DATA, dw)
            await host_control(GO | enable)
        elif kind == "go":
            await host_control(GO | enable)
        elif kind == "enable":
            await host_control(enable | 0x7FFF_FFFC)
        elif kind == "abort":
            await host_control(ABORT | enable)
        elif kind == "both":
            await host_control(ABORT | GO | enable)
        elif kind == "status":
            value = rng.choice([0, INT_STATUS, 0xFFFF_FFFF])
            model.write_status(value)
            await bench.write(STATUS, value)
        elif kind in ("ack", "underflow"):
            model.acknowledge()
            await bench.write(READ_DATA, rng.getrandbits(32))
        elif kind == "read_all":
            while model.phase is Phase.ANSWERED:
                assert bench.read_data() == model.read_data
                model.acknowledge()
                await bench.write(READ_DATA, 0)
                await bench.idle(1)
        elif kind == "flr":
            model.function_level_reset()
            await bench.pulse("flr_i")
        elif kind == "take":
            model.take()
            await bench.pulse("take_i")
            if model.phase is Phase.WORKING:
                assert await bench.fetch_request() == model.request
        elif kind == "respond":
            dws = make_object(rng, rng.randrange(2, 7))
            if model.phase is not Phase.ANSWERED:
                await bench.fill_response(dws)
            model.respond(dws)
            dut.respond_dw_i.value = len(dws)
            await bench.pulse("respond_i")
        elif kind == "bad_respond":
            length = rng.choice([0, 1, model.capacity + 1, model.capacity + 4096, 1 << 31])
            model.respond([0] * min(length, model.capacity + 1))
            dut.respond_dw_i.value = length
            await bench.pulse("respond_i")
        elif kind == "discard":
            model.discard()
            await bench.pulse("discard_i")
        elif kind == "fail":
            model.fail()
            await bench.pulse("fail_i")
        elif kind == "abort_ack":
            model.acknowledge_abort()
            await bench.pulse("abort_ack_i")
        await bench.idle(3)
        where = f"step {step}: {kind} in {model.phase}"
        assert bench.control() == model.control, where
        assert bench.status() == model.status, f"{where}: {bench.status():08x}"
        assert bench.read_data() == model.read_data, where
        assert int(dut.go_o.value) == (model.phase is Phase.OFFERED), where
        assert int(dut.held_o.value) == (model.phase is Phase.WORKING), where
        assert int(dut.abort_o.value) == model.abort_event, where
        assert bench.irqs == model.irqs, where
    dut._log.info("%d pairs of phase and action seen, %d interrupts", len(seen), model.irqs)
    assert len(seen) > 60
