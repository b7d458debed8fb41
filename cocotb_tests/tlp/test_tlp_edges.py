# SPDX-License-Identifier: Apache-2.0
"""Round trip wire -> tlp_ingress -> tlp_egress -> wire of random legal TLPs."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import (
    WIRE_BEAT,
    StreamDriver,
    StreamMonitor,
    bytes_to_wire,
    random_pauses,
    reset,
    unpack,
    wire_to_bytes,
)
from cocotb_tests.tlp.tlp_model import random_tlp


def test_tlp_edges() -> None:
    simulate("tlp_edges", __name__,
             sources=["tlp/tlp_ingress_check.sv", "tlp/tlp_ingress.sv",
                      "tlp/tlp_egress.sv"],
             extra_sources=["cocotb_tests/tlp/tlp_edges.sv"])


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.3], stall=[0.0, 0.3])
async def tlps_come_back_byte_for_byte(dut: Any, idle: float, stall: float) -> None:
    """400 random TLPs, half of them with IDE prefix and MAC, under every mix of pauses."""
    Clock(dut.clk_i, 10, unit="ns").start()
    drv = StreamDriver(dut.clk_i, dut.wire_valid_i, dut.wire_ready_o, dut.wire_i,
                       random_pauses(1, idle) if idle else None)
    mon = StreamMonitor(dut.clk_i, dut.wire_valid_o, dut.wire_ready_i, dut.wire_o,
                        random_pauses(2, stall) if stall else None)
    await reset(dut.clk_i, dut.rst_i)
    rng = random.Random(cocotb.RANDOM_SEED)
    tlps = []
    for _ in range(400):
        tlp = bytearray(random_tlp(rng, digest=False, other_prefix=rng.random() < 0.1))
        tlps.append(bytes(tlp))
        drv.put_all(bytes_to_wire(tlps[-1]))
    for tlp in tlps:
        got = wire_to_bytes(await mon.get_packet(lambda b: bool(unpack(WIRE_BEAT, b)["last"])))
        assert got == tlp
    assert int(dut.malformed_seen_o.value) == 0
