# SPDX-License-Identifier: Apache-2.0
"""aes_sbox: both descriptions are the S-box of FIPS 197; the key schedule model is right."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import Timer

from cocotb_tests.crypto import aes_model
from cocotb_tests.env.runner import simulate


def test_aes_sbox() -> None:
    simulate("aes_sbox_pair", __name__, sources=["crypto/aes_sbox.sv"],
             extra_sources=["cocotb_tests/crypto/aes_sbox_pair.sv"])


def test_model_key_schedule_matches_the_library() -> None:
    """Encryption from the model's round keys equals the library's, for random keys."""
    rng = random.Random(0)
    for _ in range(20):
        key, block = rng.randbytes(32), rng.randbytes(16)
        by_rounds = aes_model.encrypt_block_by_rounds(aes_model.round_keys(key), block)
        assert by_rounds == aes_model.encrypt_block(key, block)


@cocotb.test(timeout_time=10, timeout_unit="us")
async def table_and_tower_field_equal_the_definition(dut: Any) -> None:
    """FIPS 197, 5.1.1: all 256 inputs of both descriptions."""
    for value in range(256):
        dut.in_i.value = value
        await Timer(1, unit="ns")
        assert int(dut.table_o.value) == aes_model.SBOX[value], f"table, input {value:#04x}"
        assert int(dut.tower_o.value) == aes_model.SBOX[value], f"tower, input {value:#04x}"
