# SPDX-License-Identifier: Apache-2.0
"""Run by test_p384_engine with +identity=<file>: the file's key is the identity."""

from __future__ import annotations

import cocotb

from cocotb_tests.crypto_p384.bench import OK, PUBLIC, Engine, public_of
from cocotb_tests.crypto_p384.test_p384_engine import IDENTITY


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def identity_is_the_key_of_the_file(dut) -> None:
    """OpPublic answers with the public key of the file."""
    engine = Engine(dut)
    await engine.start()
    assert await engine.run(PUBLIC) == OK
    assert await engine.outputs() == public_of(IDENTITY)
