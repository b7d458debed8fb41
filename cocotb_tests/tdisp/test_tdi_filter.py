# SPDX-License-Identifier: Apache-2.0
"""tdi_filter: every state x page x kind of request x lock flag, against a table typed by hand."""

from __future__ import annotations

import itertools

import cocotb
from cocotb.triggers import Timer

from cocotb_tests.env.layouts import TDI_VIEW as VIEW
from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import pack

# States in the encoding of DEVICE_INTERFACE_STATE.
UNLOCKED, LOCKED, RUN, ERROR = range(4)

# Kinds of request: (ide, t_bit, is on the bound block).
PLAIN, IDE_T0, TEE_TLP, TEE_OTHER = "plain", "ide T=0", "T=1 bound", "T=1 other block"
# A T bit without IDE cannot arrive; it must not open anything either.
T_WITHOUT_IDE = "T=1 but not IDE"

# Device rules as completer. Key: is the page TEE; then the state; value: the accepted kinds.
# Sources: TDISP MMIO rules, and the TDI access table of the device guide (non-TEE MMIO: any kind,
# any state from LOCKED on; CONFIG_UNLOCKED: ordinary memory, T=1 rejected).
ACCEPTED: dict[bool, dict[int, set[str]]] = {
    True: {
        UNLOCKED: {PLAIN, IDE_T0},
        LOCKED: set(),
        RUN: {TEE_TLP},
        ERROR: set(),
    },
    False: {
        UNLOCKED: {PLAIN, IDE_T0},
        LOCKED: {PLAIN, IDE_T0, TEE_TLP, TEE_OTHER, T_WITHOUT_IDE},
        RUN: {PLAIN, IDE_T0, TEE_TLP, TEE_OTHER, T_WITHOUT_IDE},
        ERROR: {PLAIN, IDE_T0, TEE_TLP, TEE_OTHER, T_WITHOUT_IDE},
    },
}

# 4 KiB pages of BAR0: 0 is identity and status; 2 and 3 are MSI-X and follow LOCK_MSIX; the rest,
# pages without anything behind them included, belong to the trusted owner.
NON_TEE_PAGES = {0: {0, 2, 3}, 1: {0}}


def test_tdi_filter() -> None:
    simulate("tdi_filter", __name__, sources=["tdisp/tdi_filter.sv"])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def filter_is_the_table_in_every_case(dut) -> None:
    """4 states x 16 pages x 5 kinds x 2 lock flags x 4 bound blocks, answers as in the table."""
    cases = 0
    for state, page, locked, bound in itertools.product(range(4), range(16), (0, 1), range(4)):
        dut.is_tdi_i.value = 1
        dut.view_i.value = pack(VIEW, state=state, msix_locked=locked, block=bound)
        dut.page_i.value = page
        is_tee = page not in NON_TEE_PAGES[locked]
        for other in range(4):
            kinds = [(PLAIN, 0, 0), (IDE_T0, 1, 0), (T_WITHOUT_IDE, 0, 1),
                     (TEE_TLP if other == bound else TEE_OTHER, 1, 1)]
            for kind, ide, t_bit in kinds:
                dut.ide_i.value, dut.t_bit_i.value, dut.block_i.value = ide, t_bit, other
                await Timer(1, "ns")
                want = kind in ACCEPTED[is_tee][state]
                assert bool(dut.allow_o.value) == want, (
                    f"state {state} page {page} msix_locked {locked} {kind}: want {want}")
                cases += 1
    assert cases == 4 * 16 * 2 * 4 * 4 * 4


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def shared_pages_and_peer_streams(dut) -> None:
    """A page made non-TEE takes every kind in RUN; T=1 on a P2P stream counts as bound."""
    for shared, p2p, bound, page in itertools.product(range(4), range(8), range(3), range(16)):
        dut.is_tdi_i.value = 1
        dut.view_i.value = pack(VIEW, state=RUN, block=bound, p2p=p2p, shared=shared)
        dut.page_i.value = page
        is_open = page in NON_TEE_PAGES[0] or (page in (10, 11) and shared >> page - 10 & 1)
        for other, ide, t_bit in itertools.product(range(3), (0, 1), (0, 1)):
            dut.ide_i.value, dut.t_bit_i.value, dut.block_i.value = ide, t_bit, other
            await Timer(1, "ns")
            trusted = ide and t_bit and (other == bound or p2p >> other & 1)
            assert bool(dut.allow_o.value) == bool(is_open or trusted), (
                f"shared {shared} p2p {p2p} bound {bound} page {page} block {other}")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def management_function_takes_no_t_bit(dut) -> None:
    """F0 is no TDI: requests with T=1 are rejected, all others accepted, whatever the view says."""
    dut.is_tdi_i.value = 0
    for view, page, ide, t_bit, block in itertools.product(range(1024), (0, 1, 2, 8, 15), (0, 1),
                                                           (0, 1), range(4)):
        dut.view_i.value, dut.page_i.value = view, page
        dut.ide_i.value, dut.t_bit_i.value, dut.block_i.value = ide, t_bit, block
        await Timer(1, "ns")
        assert int(dut.allow_o.value) == 1 - t_bit
