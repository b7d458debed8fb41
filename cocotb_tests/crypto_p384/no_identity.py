# SPDX-License-Identifier: Apache-2.0
"""Run by test_p384_engine without a key file."""

from __future__ import annotations

import cocotb

from cocotb_tests.crypto_p384.bench import KEYGEN, NO_KEY, OK, PUBLIC, SIGN, Engine


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def no_file_no_identity(dut) -> None:
    """OpPublic and OpSign answer NoKey; key generation does not need an identity."""
    engine = Engine(dut)
    await engine.start()
    assert await engine.run(PUBLIC) == NO_KEY
    assert await engine.run(SIGN, e=1) == NO_KEY
    assert await engine.run(KEYGEN) == OK
