# SPDX-License-Identifier: Apache-2.0
"""drbg against an independent CTR_DRBG; silent unseeded, after an alarm, and while wiped."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from cocotb.utils import get_sim_time

from cocotb_tests.crypto.drbg_model import CtrDrbg, condition
from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import StreamDriver, StreamMonitor, random_pauses, reset

INTERVAL = 3       # generate calls a seed
SEED_WORDS = 36    # raw words a seed
PERIOD_NS = 10


def test_drbg() -> None:
    simulate("drbg", __name__,
             sources=["crypto/aes_sbox.sv", "crypto/aes_round.sv", "crypto/aes_key_expand.sv",
                      "crypto/aes_engine.sv", "crypto/entropy_health.sv", "crypto/drbg.sv"],
             parameters={"ReseedInterval": INTERVAL})


def test_model_gives_the_known_answer() -> None:
    """NIST DRBGVS, CTR_DRBG AES-256 no df, no reseed, COUNT 0: second call of 512 bits."""
    drbg = CtrDrbg(bytes.fromhex(
        "df5d73faa468649edda33b5cca79b0b05600419ccb7a879ddfec9db32ee494e5"
        "531b51de16a30f769262474c73bec010"))
    drbg.generate(64)
    assert drbg.generate(64).hex() == (
        "d1c07cd95af8a7f11012c84ce48bb8cb87189e99d40fccb1771c619bdf82ab22"
        "80b1dc2f2581f39164f7ac0c510494b3a43c41b7db17514c87b107ae793e01c5")


def expected_words(raw: list[int], first: CtrDrbg | None = None) -> list[int]:
    """All random words that the given raw words can bring forth."""
    out = []
    drbg = first
    for i in range(0, len(raw) - len(raw) % SEED_WORDS, SEED_WORDS):
        seed = condition(raw[i:i + SEED_WORDS])
        if drbg is None:
            drbg = CtrDrbg(seed)
        else:
            drbg.reseed(seed)
        for _ in range(INTERVAL):
            data = drbg.generate(32)
            out += [int.from_bytes(data[j:j + 4], "big") for j in range(0, 32, 4)]
    return out


class Bench:
    """Raw words in, random words out."""

    def __init__(self, dut: Any, pauses: float = 0.0) -> None:
        self.dut, self.probability, self.seed = dut, pauses, int(100 * pauses)

    def _pauses(self) -> Iterator[bool] | None:
        self.seed += 1
        return random_pauses(self.seed, self.probability) if self.probability else None

    async def start(self) -> None:
        dut = self.dut
        Clock(dut.clk_i, PERIOD_NS, unit="ns").start()
        for name in ("zeroize_i", "entropy_i", "entropy_valid_i", "rnd_ready_i"):
            getattr(dut, name).value = 0
        # Listen only after the reset: the simulation still holds what the last test left.
        await reset(dut.clk_i, dut.rst_i)
        self.attach()
        self.rnd = StreamMonitor(dut.clk_i, dut.rnd_valid_o, dut.rnd_ready_i, dut.rnd_o,
                                 self._pauses())

    def attach(self) -> None:
        dut = self.dut
        self.raw = StreamDriver(dut.clk_i, dut.entropy_valid_i, dut.entropy_ready_o,
                                dut.entropy_i, self._pauses())

    async def detach(self) -> None:
        """Forget the raw words not yet taken."""
        await FallingEdge(self.dut.clk_i)
        self.raw._task.cancel()
        self.dut.entropy_valid_i.value = 0

    async def words(self, count: int) -> list[int]:
        return [await self.rnd.get() for _ in range(count)]

    async def cycles(self, count: int) -> None:
        for _ in range(count):
            await FallingEdge(self.dut.clk_i)

    def assert_wiped(self) -> None:
        dut = self.dut
        for name in ("key_q", "v_q", "raw_q", "mac_q", "pool_q", "out_q", "seeded_q"):
            assert int(getattr(dut, name).value) == 0, f"{name} is not wiped"
        self.assert_no_old_key()
        assert int(dut.rnd_valid_o.value) == 0 and int(dut.rnd_o.value) == 0

    def assert_no_old_key(self) -> None:
        """Neither round keys nor a block stay in the AES registers."""
        dut = self.dut
        for signal in (dut.u_aes.state_q, dut.u_expand.now_q, dut.u_expand.next_q):
            assert int(signal.value) == 0


def good_words(count: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.getrandbits(32) for _ in range(count)]


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(pauses=[0.0, 0.5, 0.9])
async def output_over_several_seeds_equals_the_model(dut: Any, pauses: float) -> None:
    """Instantiate, generate, reseed three times: every word as SP 800-90A says."""
    raw = good_words(4 * SEED_WORDS, 1)
    bench = Bench(dut, pauses)
    await bench.start()
    bench.raw.put_all(raw)
    expected = expected_words(raw)
    assert len(expected) == 4 * INTERVAL * 8
    assert await bench.words(len(expected)) == expected
    await bench.cycles(300)
    assert bench.rnd.queue.empty(), "output beyond the reseed interval without fresh entropy"
    assert int(dut.seeded_o.value) == 1 and int(dut.failed_o.value) == 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def nothing_comes_out_before_the_last_raw_word(dut: Any) -> None:
    """35 words: silent and not seeded, for ever; the 36th brings output."""
    raw = good_words(SEED_WORDS, 2)
    bench = Bench(dut)
    await bench.start()
    bench.raw.put_all(raw[:-1])
    for _ in range(3000):
        await RisingEdge(dut.clk_i)
        assert int(dut.rnd_valid_o.value) == 0 and int(dut.rnd_o.value) == 0
        assert int(dut.seeded_o.value) == 0
    assert bench.raw.sent == SEED_WORDS - 1
    bench.raw.put(raw[-1])
    assert await bench.words(24) == expected_words(raw)
    assert int(dut.seeded_o.value) == 1


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_stopped_source_stops_the_output_and_can_come_back(dut: Any) -> None:
    """When the reseed is due nothing more is generated; it goes on with the next 36 words."""
    raw = good_words(2 * SEED_WORDS, 3)
    bench = Bench(dut)
    await bench.start()
    bench.raw.put_all(raw[:SEED_WORDS + 20])
    expected = expected_words(raw)
    assert await bench.words(24) == expected[:24]
    await bench.cycles(1500)
    assert bench.rnd.queue.empty()
    bench.raw.put_all(raw[SEED_WORDS + 20:])
    assert await bench.words(24) == expected[24:]


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_generate_call_leaves_no_trace(dut: Any) -> None:
    """Backtracking resistance: K and V are the updated ones before the first word is offered."""
    raw = good_words(SEED_WORDS, 4)
    bench = Bench(dut)
    await bench.start()
    dut.rnd_ready_i.value = 0
    bench.raw.put_all(raw)
    model = CtrDrbg(condition(raw))
    for call in range(INTERVAL):
        before = model.key
        data = model.generate(32)
        while not int(dut.rnd_valid_o.value):
            await FallingEdge(dut.clk_i)
        await bench.cycles(3)
        assert int(dut.key_q.value).to_bytes(32, "big") == model.key != before
        assert int(dut.v_q.value) == model.v
        bench.assert_no_old_key()
        got = b""
        for _ in range(8):
            assert int(dut.rnd_valid_o.value) == 1, f"call {call}"
            got += int(dut.rnd_o.value).to_bytes(4, "big")
            dut.rnd_ready_i.value = 1
            await FallingEdge(dut.clk_i)
            dut.rnd_ready_i.value = 0
        assert got == data
        assert int(dut.out_q.value) == 0, "words already given are still there"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def generate_takes_the_stated_time(dut: Any) -> None:
    """From the last word of a call taken to the first of the next: 87 cycles."""
    bench = Bench(dut)
    await bench.start()
    bench.raw.put_all(good_words(SEED_WORDS, 5))
    await bench.words(8)
    last = get_sim_time("ns")
    await bench.words(1)
    assert (get_sim_time("ns") - last) / PERIOD_NS == 87


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def zeroize_wipes_everything_and_a_new_seed_is_collected(dut: Any) -> None:
    """At any time: one cycle later no secret is left; then instantiation anew, not a reseed."""
    bench = Bench(dut)
    await bench.start()
    for number, delay in enumerate((10, 300, 1180, 1210, 1250, 1290, 1330, 1500)):
        bench.raw.put_all(good_words(SEED_WORDS, 100 + number))
        await bench.cycles(delay)
        await FallingEdge(dut.clk_i)
        dut.zeroize_i.value = 1
        await RisingEdge(dut.clk_i)
        assert int(dut.rnd_valid_o.value) == 0 and int(dut.entropy_ready_o.value) == 0
        await FallingEdge(dut.clk_i)
        bench.assert_wiped()
        assert int(dut.seeded_o.value) == 0
        await bench.detach()
        dut.zeroize_i.value = 0
        while not bench.rnd.queue.empty():
            bench.rnd.queue.get_nowait()
        bench.attach()
        raw = good_words(SEED_WORDS, 200 + number)
        bench.raw.put_all(raw)
        assert await bench.words(24) == expected_words(raw)


async def expect_alarm(bench: Bench, raw: list[int]) -> None:
    """Feed raw words until failed_o; from then on nothing is left and nothing comes out."""
    dut = bench.dut
    bench.raw.put_all(raw)
    for _ in range(36 * len(raw)):
        await FallingEdge(dut.clk_i)
        if int(dut.failed_o.value):
            break
    assert int(dut.failed_o.value) == 1, "no alarm"
    assert int(dut.rnd_valid_o.value) == 0, "output beside the alarm"
    await FallingEdge(dut.clk_i)
    await bench.detach()
    while not bench.rnd.queue.empty():
        bench.rnd.queue.get_nowait()
    bench.attach()
    bench.raw.put_all(good_words(2 * SEED_WORDS, 6))
    for zeroize in (0, 1, 0):
        dut.zeroize_i.value = zeroize
        for _ in range(1500 if not zeroize else 3):
            await FallingEdge(dut.clk_i)
            bench.assert_wiped()
            assert int(dut.failed_o.value) == 1 and int(dut.seeded_o.value) == 0
    assert bench.raw.sent == 0, "raw words taken after the alarm"
    assert bench.rnd.queue.empty()
    await bench.detach()
    await reset(dut.clk_i, dut.rst_i)
    bench.attach()
    raw = good_words(SEED_WORDS, 7)
    bench.raw.put_all(raw)
    assert await bench.words(24) == expected_words(raw)


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(kind=["zeros", "ones", "frozen", "biased"])
async def bad_source_at_start_gives_no_output_until_reset(dut: Any, kind: str) -> None:
    """Stuck low, stuck high, a frozen balanced word, 90 % ones: nothing ever comes out."""
    rng = random.Random(8)
    biased = [int("".join(str(int(rng.random() < 0.9)) for _ in range(32)), 2)
              for _ in range(SEED_WORDS)]
    raw = {"zeros": [0] * 8, "ones": [0xFFFF_FFFF] * 8, "frozen": [0xA5C3_3C5A] * 8,
           "biased": biased}[kind]
    bench = Bench(dut)
    await bench.start()
    await expect_alarm(bench, raw)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def source_failing_in_its_last_word_is_caught_before_the_seed_is_used(dut: Any) -> None:
    """The alarm of the 36th word comes before K and V could change."""
    raw = good_words(SEED_WORDS, 9)
    raw[-2:] = [0xA5A5_5A00, 0]  # nine zeros and 32 more: too long in the very last bit
    bench = Bench(dut)
    await bench.start()
    await expect_alarm(bench, raw)


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def alarm_during_a_reseed_takes_the_waiting_words_back(dut: Any) -> None:
    """A source that breaks later: the buffered words of the last call are erased unread."""
    raw = good_words(SEED_WORDS, 10)
    bench = Bench(dut)
    await bench.start()
    bench.raw.put_all(raw)
    assert await bench.words(24) == expected_words(raw)
    await expect_alarm(bench, [*good_words(10, 11), 0, 0, 0])
