# SPDX-License-Identifier: Apache-2.0
"""gcm_core against NIST's vectors and a library; keys are found in RAM and found gone again."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from cocotb.utils import get_sim_time
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cocotb_tests.crypto import aes_model
from cocotb_tests.crypto.gcm_vectors import GcmVector, gcm_vectors
from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import StreamDriver, StreamMonitor, random_pauses, reset

SOURCES = [
    "crypto/aes_sbox.sv", "crypto/aes_round.sv", "crypto/aes_key_expand.sv",
    "crypto/aes_engine.sv", "crypto/ghash_mult.sv", "crypto/gcm_key_store.sv",
    "crypto/gcm_core.sv",
]
PERIOD_NS = 10
LONG = "TEEIO_LONG" in os.environ


def test_gcm_core() -> None:
    simulate("gcm_core", __name__, sources=SOURCES, parameters={"NumKeys": 3})


@pytest.mark.parametrize(
    "parameters", [{"NumKeys": 18, "SboxImpl": 1}, {"NumKeys": 1, "GhashDigit": 32}])
def test_gcm_core_other_parameters(parameters: dict[str, int]) -> None:
    # The tower field is much C++ for a short run: do not optimise it.
    simulate("gcm_core", __name__, sources=SOURCES, parameters=parameters,
             testcase="configuration_encrypts_and_zeroizes", build_args=["-CFLAGS", "-O0"])


@pytest.mark.long
def test_gcm_core_all_vectors() -> None:
    simulate("gcm_core", __name__, sources=SOURCES, parameters={"NumKeys": 3},
             testcase="every_nist_vector", extra_env={"TEEIO_LONG": "1"})


def blocks(aad: bytes, data: bytes) -> list[dict[str, int]]:
    """Cut a message into input beats."""
    out = []
    for is_aad, part in ((1, aad), (0, data)):
        for i in range(0, len(part), 16):
            chunk = part[i:i + 16]
            # Bytes beyond in_bytes are to be ignored: make them ones.
            out.append({"in_data_i": int.from_bytes(chunk.ljust(16, b"\xff"), "big"),
                        "in_bytes_i": len(chunk), "in_aad_i": is_aad, "in_last_i": 0})
    out[-1]["in_last_i"] = 1
    return out


class Bench:
    """Drivers and monitors on every port of gcm_core."""

    def __init__(self, dut: Any, pauses: float = 0.0, seed: int = 0) -> None:
        self.dut, self.probability, self.seed = dut, pauses, seed
        self.num_keys = int(dut.NumKeys.value)

    def _pauses(self) -> Iterator[bool] | None:
        self.seed += 1
        return random_pauses(self.seed, self.probability) if self.probability else None

    async def start(self) -> None:
        """Clock, reset, and wait until the key memory has been overwritten."""
        dut = self.dut
        Clock(dut.clk_i, PERIOD_NS, unit="ns").start()
        for name in ("zeroize_i", "abort_i", "key_valid_i", "key_idx_i", "key_i", "erase_valid_i",
                     "erase_idx_i", "cmd_valid_i", "cmd_key_i", "cmd_decrypt_i", "cmd_iv_i",
                     "in_valid_i", "in_data_i", "in_bytes_i", "in_aad_i", "in_last_i",
                     "out_ready_i", "tag_ready_i"):
            getattr(dut, name).value = 0
        # Listen only after the reset: the simulation still holds what the last test left.
        await reset(dut.clk_i, dut.rst_i)
        self.out = StreamMonitor(
            dut.clk_i, dut.out_valid_o, dut.out_ready_i,
            {"data": dut.out_data_o, "bytes": dut.out_bytes_o}, self._pauses())
        self.tag = StreamMonitor(dut.clk_i, dut.tag_valid_o, dut.tag_ready_i, dut.tag_o,
                                 self._pauses())
        self.attach()
        await self.until_idle(self.num_keys * 16 + 16)

    def attach(self) -> None:
        """Fresh command and input drivers."""
        dut = self.dut
        self.cmd = StreamDriver(
            dut.clk_i, dut.cmd_valid_i, dut.cmd_ready_o,
            {n: getattr(dut, n) for n in ("cmd_key_i", "cmd_decrypt_i", "cmd_iv_i")},
            self._pauses())
        self.inp = StreamDriver(
            dut.clk_i, dut.in_valid_i, dut.in_ready_o,
            {n: getattr(dut, n) for n in ("in_data_i", "in_bytes_i", "in_aad_i", "in_last_i")},
            self._pauses())

    def detach(self) -> None:
        """Drop what the drivers still hold; call at a falling edge."""
        self.cmd._task.cancel()
        self.inp._task.cancel()
        self.dut.cmd_valid_i.value = 0
        self.dut.in_valid_i.value = 0

    def discard_results(self) -> None:
        """Forget what the monitors have collected."""
        for mon in (self.out, self.tag):
            while not mon.queue.empty():
                mon.queue.get_nowait()

    async def until_idle(self, limit: int) -> int:
        """Cycles until idle_o; fails beyond the limit."""
        for cycle in range(limit + 1):
            await FallingEdge(self.dut.clk_i)
            if int(self.dut.idle_o.value):
                assert int(self.dut.busy_o.value) == 0
                return cycle
        raise AssertionError(f"not idle after {limit} cycles")

    async def _request(self, valid: Any, ready: Any, done: Any, limit: int) -> int:
        """Hold valid until taken; cycles from there to the done pulse."""
        valid.value = 1
        while True:
            await RisingEdge(self.dut.clk_i)
            if int(ready.value):
                break
        await FallingEdge(self.dut.clk_i)
        valid.value = 0
        for cycle in range(1, limit + 1):
            if int(done.value):
                return cycle
            await FallingEdge(self.dut.clk_i)
        raise AssertionError(f"not done after {limit} cycles")

    async def load_key(self, slot: int, key: bytes) -> int:
        """Load a key and wait until it is usable; returns the cycles."""
        dut = self.dut
        await FallingEdge(dut.clk_i)
        dut.key_idx_i.value = slot
        dut.key_i.value = int.from_bytes(key, "big")
        cycles = await self._request(dut.key_valid_i, dut.key_ready_o, dut.key_done_o, 64)
        dut.key_i.value = 0
        return cycles

    async def erase(self, slot: int) -> int:
        """Erase a slot; returns the cycles from acceptance to the done pulse."""
        dut = self.dut
        await FallingEdge(dut.clk_i)
        dut.erase_idx_i.value = slot
        return await self._request(dut.erase_valid_i, dut.erase_ready_o, dut.erase_done_o, 20)

    def put(self, slot: int, iv: bytes, aad: bytes, data: bytes, decrypt: bool) -> None:
        """Queue one message."""
        self.cmd.put({"cmd_key_i": slot, "cmd_decrypt_i": int(decrypt),
                      "cmd_iv_i": int.from_bytes(iv, "big")})
        self.inp.put_all(blocks(aad, data))

    async def collect(self, length: int) -> tuple[bytes, bytes]:
        """Result and tag of the next message, whose data has `length` bytes."""
        tag = await self.tag.get()
        out = b""
        for left in range(length, 0, -16):
            beat = await self.out.get()
            raw = beat["data"].to_bytes(16, "big")
            assert beat["bytes"] == min(16, left)
            assert not any(raw[beat["bytes"]:]), "unused output bytes are not zero"
            out += raw[:beat["bytes"]]
        return out, tag.to_bytes(16, "big")

    async def message(self, slot: int, iv: bytes, aad: bytes, data: bytes,
                      decrypt: bool = False) -> tuple[bytes, bytes]:
        """Run one message alone."""
        self.put(slot, iv, aad, data, decrypt)
        out, tag = await self.collect(len(data))
        assert self.out.queue.empty() and self.tag.queue.empty(), "more output than data"
        return out, tag

    async def seal_and_check(self, slot: int, key: bytes, rng: random.Random,
                             aad_len: int = 20, data_len: int = 37) -> None:
        """Encrypt something and compare with the library."""
        iv, aad, data = rng.randbytes(12), rng.randbytes(aad_len), rng.randbytes(data_len)
        out, tag = await self.message(slot, iv, aad, data)
        assert out + tag == AESGCM(key).encrypt(iv, data, aad)

    def rows(self, slot: int) -> list[bytes]:
        """The sixteen RAM rows of a slot."""
        mem = self.dut.u_keys.mem_q
        return [int(mem[16 * slot + i].value).to_bytes(16, "big") for i in range(16)]

    def assert_slot_holds(self, slot: int, key: bytes) -> None:
        """The key schedule and H of a key stand in the RAM."""
        expected = [*aes_model.round_keys(key), aes_model.encrypt_block(key, bytes(16))]
        assert self.rows(slot) == expected

    def assert_slot_is_zero(self, slot: int) -> None:
        assert not any(map(any, self.rows(slot))), f"slot {slot} still holds something"

    def assert_data_path_is_clear(self) -> None:
        """No register of the data path holds anything of key or message."""
        dut = self.dut
        for name, signal in {
            "AES state": dut.u_aes.state_q, "GHASH operand": dut.u_ghash.x_q,
            "GHASH accumulator": dut.u_ghash.y_q, "H": dut.h_q, "input": dut.in_q,
            "output": dut.out_q, "IV": dut.iv_q, "RAM output": dut.u_keys.rd_data_o,
            "round key": dut.u_keys.u_expand.now_q, "next key": dut.u_keys.u_expand.next_q,
            "AAD length": dut.aad_bytes_q, "data length": dut.data_bytes_q,
        }.items():
            assert int(signal.value) == 0, f"{name} is not cleared"


async def run_vectors(bench: Bench, vectors: list[GcmVector]) -> None:
    """Each vector under a fresh key, slots in turn."""
    for number, v in enumerate(vectors):
        slot = number % bench.num_keys
        await bench.load_key(slot, v.key)
        out, tag = await bench.message(slot, v.iv, v.aad, v.data, v.decrypt)
        if v.fail:
            assert tag[:len(v.tag)] != v.tag, f"{v.name}: wrong tag computed as right"
        else:
            assert tag[:len(v.tag)] == v.tag, f"{v.name}: tag {tag.hex()}"
            assert out == v.result, f"{v.name}: result {out.hex()}"


def all_vectors() -> list[GcmVector]:
    return gcm_vectors("gcmEncryptExtIV256.rsp") + gcm_vectors("gcmDecrypt256.rsp")


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def sample_of_nist_vectors(dut: Any) -> None:
    """SP 800-38D, CAVP: 200 vectors, both directions, rejected ones among them."""
    vectors = random.Random(1).sample(all_vectors(), 200)
    assert any(v.fail for v in vectors) and any(not v.aad for v in vectors)
    assert any(not v.data for v in vectors) and any(len(v.data) % 16 for v in vectors)
    bench = Bench(dut)
    await bench.start()
    await run_vectors(bench, vectors)


@cocotb.test(skip=not LONG, timeout_time=200, timeout_unit="ms")
async def every_nist_vector(dut: Any) -> None:
    """SP 800-38D, CAVP: every AES-256 vector with a 96-bit IV that has any AAD or data."""
    vectors = all_vectors()
    assert len(vectors) == 2 * 2520
    bench = Bench(dut)
    await bench.start()
    await run_vectors(bench, vectors)


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(pauses=[0.0, 0.4, 0.9])
async def random_messages_on_mixed_slots_match_the_library(dut: Any, pauses: float) -> None:
    """Messages of 0..4096 B data and 0..64 B AAD back to back, slots and directions mixed."""
    rng = random.Random(int(100 * pauses) + 7)
    bench = Bench(dut, pauses, seed=int(1000 * pauses))
    await bench.start()
    keys = [rng.randbytes(32) for _ in range(bench.num_keys)]
    for slot, key in enumerate(keys):
        await bench.load_key(slot, key)
    expected = []
    lengths = [(16, 0), (0, 1), (1, 16), (64, 4096), (64, 31), (15, 17), (0, 4095)]
    lengths += [(rng.randrange(65), rng.randrange(1, 200)) for _ in range(25)]
    for aad_len, data_len in lengths:
        slot, decrypt = rng.randrange(bench.num_keys), bool(rng.getrandbits(1))
        iv, aad, plain = rng.randbytes(12), rng.randbytes(aad_len), rng.randbytes(data_len)
        sealed = AESGCM(keys[slot]).encrypt(iv, plain, aad)
        cipher, tag = sealed[:-16], sealed[-16:]
        bench.put(slot, iv, aad, cipher if decrypt else plain, decrypt)
        expected.append((plain if decrypt else cipher, tag))
    for result, tag in expected:
        assert await bench.collect(len(result)) == (result, tag)
    await bench.until_idle(40)
    bench.assert_data_path_is_clear()
    for slot, key in enumerate(keys):
        bench.assert_slot_holds(slot, key)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def block_rate_and_latency_are_as_stated_and_depend_on_lengths_only(dut: Any) -> None:
    """15 cycles a data block, 22 + 15 n to the tag, equal for all keys, data and directions."""
    rng = random.Random(3)
    bench = Bench(dut)
    await bench.start()
    times: dict[tuple[int, int], set[int]] = {}
    for key in (bytes(32), b"\xff" * 32, rng.randbytes(32)):
        assert await bench.load_key(0, key) == 34
        for aad_len, data_len in ((12, 16), (12, 64), (12, 256), (0, 256), (32, 0)):
            for fill in (bytes, rng.randbytes):
                for decrypt in (False, True):
                    await bench.until_idle(40)
                    bench.put(0, fill(12), fill(aad_len), fill(data_len), decrypt)
                    await RisingEdge(dut.clk_i)
                    while not (int(dut.cmd_valid_i.value) and int(dut.cmd_ready_o.value)):
                        await RisingEdge(dut.clk_i)
                    start = get_sim_time("ns")
                    while not int(dut.tag_valid_o.value):
                        await RisingEdge(dut.clk_i)
                    cycles = int(get_sim_time("ns") - start) // PERIOD_NS
                    times.setdefault((aad_len, data_len), set()).add(cycles)
                    await bench.collect(data_len)
    dut._log.info("cycles from command to tag by (AAD, data) bytes: %s", times)
    assert all(len(seen) == 1 for seen in times.values()), f"time depends on content: {times}"
    for (_, data_len), seen in times.items():
        if data_len:
            assert seen == {22 + 15 * (data_len // 16)}


@cocotb.test(timeout_time=500, timeout_unit="us")
async def nothing_comes_out_of_an_aborted_message_and_the_next_one_is_right(dut: Any) -> None:
    """Abort in each cycle of a message: silence, clear registers, next command at once."""
    rng = random.Random(4)
    key = rng.randbytes(32)
    bench = Bench(dut)
    await bench.start()
    await bench.load_key(1, key)
    for delay in range(2, 110, 3):
        await FallingEdge(dut.clk_i)
        bench.put(1, rng.randbytes(12), rng.randbytes(20), rng.randbytes(40), False)
        for _ in range(delay):
            await FallingEdge(dut.clk_i)
        bench.detach()
        bench.discard_results()
        dut.abort_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.abort_i.value = 0
        await RisingEdge(dut.clk_i)
        assert int(dut.cmd_ready_o.value) == 1, "not ready in the cycle after abort"
        assert int(dut.idle_o.value) == 1
        bench.assert_data_path_is_clear()
        for _ in range(5):
            await FallingEdge(dut.clk_i)
        assert bench.out.queue.empty() and bench.tag.queue.empty(), "output after abort"
        bench.attach()
        await bench.seal_and_check(1, key, rng)
    bench.assert_slot_holds(1, key)


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(event=["abort_i", "zeroize_i"], tag_taken=[False, True])
async def results_that_nobody_took_are_withdrawn(dut: Any, event: str, tag_taken: bool) -> None:
    """Abort or zeroize while the last block (and the tag) wait: gone at once, and wiped."""
    rng = random.Random(11)
    key = rng.randbytes(32)
    bench = Bench(dut)
    await bench.start()
    await bench.load_key(0, key)
    await FallingEdge(dut.clk_i)
    dut.out_ready_i.value = 0
    dut.tag_ready_i.value = 0
    bench.put(0, rng.randbytes(12), b"", rng.randbytes(16), False)
    while not int(dut.tag_valid_o.value):
        await FallingEdge(dut.clk_i)
    if tag_taken:
        dut.tag_ready_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.tag_ready_i.value = 0
        await FallingEdge(dut.clk_i)
    assert int(dut.tag_valid_o.value) == int(not tag_taken)
    assert int(dut.out_valid_o.value) == 1 and int(dut.idle_o.value) == 0
    getattr(dut, event).value = 1
    await RisingEdge(dut.clk_i)
    assert int(dut.out_valid_o.value) == 0 and int(dut.tag_valid_o.value) == 0
    await FallingEdge(dut.clk_i)
    getattr(dut, event).value = 0
    dut.out_ready_i.value = 1
    dut.tag_ready_i.value = 1
    bench.assert_data_path_is_clear()
    bench.discard_results()
    await bench.until_idle(bench.num_keys * 16 + 16)
    assert bench.out.queue.empty() and bench.tag.queue.empty(), "output came after all"
    await bench.load_key(0, key)
    await bench.seal_and_check(0, key, rng)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def erase_clears_one_slot_and_no_other(dut: Any) -> None:
    """The schedule and H are in RAM, and after erase zero, within 20 cycles; neighbours stay."""
    rng = random.Random(5)
    bench = Bench(dut)
    await bench.start()
    keys = [rng.randbytes(32) for _ in range(bench.num_keys)]
    for slot, key in enumerate(keys):
        await bench.load_key(slot, key)
    for slot, key in enumerate(keys):
        bench.assert_slot_holds(slot, key)
    assert await bench.erase(1) <= 20
    bench.assert_slot_is_zero(1)
    await bench.until_idle(4)
    bench.assert_data_path_is_clear()
    for slot in (0, 2):
        bench.assert_slot_holds(slot, keys[slot])
        await bench.seal_and_check(slot, keys[slot], rng)
    await bench.load_key(1, keys[0])
    await bench.seal_and_check(1, keys[0], rng)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def erase_beside_a_message_of_another_slot_does_not_disturb_it(dut: Any) -> None:
    """Erasure need not wait for the end of a message."""
    rng = random.Random(6)
    bench = Bench(dut)
    await bench.start()
    keys = [rng.randbytes(32) for _ in range(bench.num_keys)]
    for slot, key in enumerate(keys):
        await bench.load_key(slot, key)
    iv, aad, data = rng.randbytes(12), rng.randbytes(12), rng.randbytes(200)
    bench.put(0, iv, aad, data, False)
    for _ in range(30):
        await FallingEdge(dut.clk_i)
    assert await bench.erase(2) <= 20
    assert int(dut.busy_o.value) == 1, "the message should still be running"
    bench.assert_slot_is_zero(2)
    out, tag = await bench.collect(len(data))
    assert out + tag == AESGCM(keys[0]).encrypt(iv, data, aad)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def erasing_the_key_of_a_running_message_drops_the_message(dut: Any) -> None:
    """No block is ever encrypted under a half-erased schedule."""
    rng = random.Random(7)
    bench = Bench(dut)
    await bench.start()
    for delay in range(3, 81, 6):
        key, iv, aad, data = (rng.randbytes(n) for n in (32, 12, 20, 64))
        await bench.load_key(0, key)
        await FallingEdge(dut.clk_i)
        bench.put(0, iv, aad, data, False)
        for _ in range(delay):
            await FallingEdge(dut.clk_i)
        assert await bench.erase(0) <= 20
        bench.detach()
        await bench.until_idle(4)
        bench.assert_data_path_is_clear()
        bench.assert_slot_is_zero(0)
        assert bench.tag.queue.empty(), "a tag came out"
        whole = AESGCM(key).encrypt(iv, data, aad)
        for i in range(0, 64, 16):
            if not bench.out.queue.empty():
                got = bench.out.queue.get_nowait()["data"].to_bytes(16, "big")
                assert got == whole[i:i + 16], "a block under a broken schedule came out"
        bench.attach()
    await bench.load_key(0, key)
    await bench.seal_and_check(0, key, rng)


async def zeroize_and_check(bench: Bench, hold: int = 1) -> None:
    """Zeroize for `hold` cycles: silent at once, every row zero within the bound, usable after."""
    dut = bench.dut
    limit = bench.num_keys * 16 + 16
    await FallingEdge(dut.clk_i)
    dut.zeroize_i.value = 1
    for _ in range(hold):
        await RisingEdge(dut.clk_i)
        for ready in ("key_ready_o", "erase_ready_o", "cmd_ready_o", "in_ready_o"):
            assert int(getattr(dut, ready).value) == 0, f"{ready} during zeroize"
        for valid in ("out_valid_o", "tag_valid_o"):
            assert int(getattr(dut, valid).value) == 0, f"{valid} during zeroize"
    await FallingEdge(dut.clk_i)
    dut.zeroize_i.value = 0
    bench.detach()
    bench.discard_results()
    bench.assert_data_path_is_clear()
    assert int(dut.busy_o.value) == 1
    assert hold + await bench.until_idle(max(limit, hold) - hold + 2) <= max(limit, hold + 2)
    for slot in range(bench.num_keys):
        bench.assert_slot_is_zero(slot)
    bench.assert_data_path_is_clear()
    assert bench.out.queue.empty() and bench.tag.queue.empty(), "output after zeroize"
    bench.attach()


@cocotb.test(timeout_time=500, timeout_unit="us")
async def zeroize_at_any_time_leaves_no_key_anywhere(dut: Any) -> None:
    """In the middle of a message, an expansion, an erasure, held long: all RAM and registers."""
    rng = random.Random(8)
    bench = Bench(dut)
    await bench.start()
    keys = [rng.randbytes(32) for _ in range(bench.num_keys)]

    async def load_all() -> None:
        for slot, key in enumerate(keys):
            await bench.load_key(slot, key)
            bench.assert_slot_holds(slot, key)

    for delay in (0, 3, 7, 20, 45, 90):          # during a message
        await load_all()
        bench.put(0, rng.randbytes(12), rng.randbytes(16), rng.randbytes(50), False)
        for _ in range(delay):
            await FallingEdge(dut.clk_i)
        await zeroize_and_check(bench)
    for delay in (1, 5, 15, 17, 25, 33):         # during expansion
        await load_all()
        await FallingEdge(dut.clk_i)
        dut.key_i.value = int.from_bytes(keys[1], "big")
        dut.key_idx_i.value = 2
        dut.key_valid_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.key_valid_i.value = 0
        for _ in range(delay):
            await FallingEdge(dut.clk_i)
        await zeroize_and_check(bench)
        assert int(dut.key_done_o.value) == 0
    await load_all()                             # during an erasure
    await FallingEdge(dut.clk_i)
    dut.erase_valid_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.erase_valid_i.value = 0
    await zeroize_and_check(bench)
    await load_all()                             # as a level, longer than the pass over the RAM
    await zeroize_and_check(bench, hold=150)
    await load_all()
    await bench.seal_and_check(2, keys[2], rng)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def reset_overwrites_the_key_memory(dut: Any) -> None:
    """A key does not survive a reset in the RAM, whose cells have no reset of their own."""
    bench = Bench(dut)
    await bench.start()
    key = random.Random(9).randbytes(32)
    await bench.load_key(2, key)
    bench.assert_slot_holds(2, key)
    await reset(dut.clk_i, dut.rst_i)
    assert int(dut.cmd_ready_o.value) == 0, "a command before the memory is clean"
    await bench.until_idle(bench.num_keys * 16 + 16)
    for slot in range(bench.num_keys):
        bench.assert_slot_is_zero(slot)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def configuration_encrypts_and_zeroizes(dut: Any) -> None:
    """The same contract for other numbers of slots, S-box and digit width."""
    rng = random.Random(10)
    bench = Bench(dut)
    await bench.start()
    slots = sorted({0, bench.num_keys // 2, bench.num_keys - 1})
    keys = {slot: rng.randbytes(32) for slot in slots}
    for slot, key in keys.items():
        await bench.load_key(slot, key)
    for slot in (*slots, *reversed(slots)):
        bench.assert_slot_holds(slot, keys[slot])
        await bench.seal_and_check(slot, keys[slot], rng, 33, 100)
    await zeroize_and_check(bench)
    await bench.load_key(slots[-1], keys[slots[-1]])
    await bench.seal_and_check(slots[-1], keys[slots[-1]], rng)
