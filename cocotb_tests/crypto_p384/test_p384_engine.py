# SPDX-License-Identifier: Apache-2.0
"""p384_engine as it is built into the device: keys and nonces come from the random port."""

from __future__ import annotations

import os
import random
from pathlib import Path

import cocotb
import pytest
from cocotb.triggers import FallingEdge, RisingEdge
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cocotb_tests.crypto_p384.bench import (
    ABORTED,
    BAD_POINT,
    ECDH,
    HOOK_D,
    HOOK_K,
    IN_X,
    INVALID,
    KEPT,
    KEYGEN,
    NO_ENTROPY,
    NO_KEY,
    OK,
    PUBLIC,
    SIGN,
    SOURCES,
    VERIFY,
    WIPE,
    WIPE_CYCLES,
    Engine,
    N,
    P,
    public_of,
    sha384,
    shared_secret,
    words,
)
from cocotb_tests.env.runner import simulate

TIMEOUT = 3000
IDENTITY = 0x2B7E151628AED2A6ABF7158809CF4F3C_00112233445566778899AABBCCDDEEFF_0F1E2D3C4B5A6978

# Scalars at which windows are empty, carries run long, or sums meet infinity and equal points.
EDGE_SCALARS = [
    1, 2, N - 1, N - 2, 15, 16, 17, 2**96, 2**383, 2**383 + 1, (N - 1) // 2, (N + 1) // 2,
    int("f" * 24 + "0" * 48 + "f" * 24, 16), int("1" + "0" * 94 + "1", 16), N - 2**192, N - 15,
]


def test_p384_engine() -> None:
    simulate("p384_engine", __name__, sources=SOURCES,
             parameters={"RandomTimeoutCycles": TIMEOUT})


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_p384_engine_edge_scalars() -> None:
    simulate("p384_engine", __name__, sources=SOURCES,
             parameters={"RandomTimeoutCycles": TIMEOUT}, extra_env={"TEEIO_LONG": "1"},
             testcase="edge_scalars_are_right_and_take_the_same_time")


def signature_holds(d: int, e: int, r: int, s: int) -> bool:
    """What the `cryptography` package says about (r, s) over hash e under the key of d."""
    key = ec.derive_private_key(d, ec.SECP384R1()).public_key()
    try:
        key.verify(utils.encode_dss_signature(r, s), e.to_bytes(48, "big"),
                   ec.ECDSA(utils.Prehashed(hashes.SHA384())))
    except InvalidSignature:
        return False
    return True


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def key_exchange_agrees_with_reference(dut) -> None:
    """Keygen gives d G of the drawn d, ECDH x(d Q) for the reference's key; then d is gone."""
    engine = Engine(dut, seed=cocotb.RANDOM_SEED)
    await engine.start()
    rng = random.Random(cocotb.RANDOM_SEED)
    for _ in range(2):
        peer = rng.randrange(1, N)
        assert await engine.run(KEYGEN) == OK
        dut._log.info("cycles of OpKeygen: %d", engine.cycles)
        d = engine.random.last()
        own = await engine.outputs()
        assert own == public_of(d)
        x, y = public_of(peer)
        assert await engine.run(ECDH, x=x, y=y) == OK
        dut._log.info("cycles of OpEcdh: %d", engine.cycles)
        secret = shared_secret(peer, own)
        assert await engine.outputs() == (secret, 0)
        assert await engine.run(ECDH, x=x, y=y) == NO_KEY
        assert await engine.outputs() == (0, 0)


@cocotb.test(timeout_time=500, timeout_unit="ms")
async def edge_scalars_are_right_and_take_the_same_time(dut) -> None:
    """Public key, shared secret and cycle counts for scalars that special cases would betray."""
    engine = Engine(dut)
    await engine.start()
    peer_d = 0x1234567890ABCDEF << 300 | 0x55AA
    peer = public_of(peer_d)
    scalars = EDGE_SCALARS if os.environ.get("TEEIO_LONG") else EDGE_SCALARS[:4]
    keygen, ecdh = set(), set()
    for d in scalars:
        engine.random.feed(d)
        assert await engine.run(KEYGEN) == OK
        keygen.add(engine.cycles)
        assert await engine.outputs() == public_of(d), hex(d)
        assert await engine.run(ECDH, x=peer[0], y=peer[1]) == OK
        ecdh.add(engine.cycles)
        assert await engine.read(0) == shared_secret(d, peer), hex(d)
    assert len(keygen) == 1, keygen
    assert len(ecdh) == 1, ecdh


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def signatures_verify_and_take_the_same_time(dut) -> None:
    """Two signatures of one hash differ and verify; time is equal for any key, nonce, hash."""
    engine = Engine(dut, seed=cocotb.RANDOM_SEED)
    await engine.start()
    times = set()
    seen = set()
    for d, k, e in (
        (IDENTITY, None, sha384(b"abc")),
        (IDENTITY, None, sha384(b"abc")),
        (1, 1, 0),
        (N - 1, N - 2, 2**384 - 1),
    ):
        engine.set_identity(d)
        if k is not None:
            engine.random.feed(k)
        assert await engine.run(SIGN, e=e) == OK
        times.add(engine.cycles)
        r, s = await engine.outputs()
        assert 0 < r < N and 0 < s < N
        k = engine.random.last()
        assert r == public_of(k)[0] % N
        assert s == pow(k, -1, N) * (e + r * d) % N
        assert signature_holds(d, e, r, s)
        assert not signature_holds(d, e ^ 1, r, s)
        seen.add(r)
    assert len(seen) == 4
    dut._log.info("cycles of OpSign: %s", times)
    assert len(times) == 1, times


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def public_key_of_identity(dut) -> None:
    """OpPublic gives d G of the ROM key; an empty or out-of-range ROM is no key."""
    engine = Engine(dut)
    await engine.start()
    engine.set_identity(IDENTITY)
    assert await engine.run(PUBLIC) == OK
    dut._log.info("cycles of OpPublic: %d", engine.cycles)
    assert await engine.outputs() == public_of(IDENTITY)
    for bad in (0, N, N + 1, 2**384 - 1):
        engine.set_identity(bad)
        assert await engine.run(PUBLIC) == NO_KEY
        assert await engine.outputs() == (0, 0)
        assert await engine.run(SIGN, e=1) == NO_KEY
        assert await engine.outputs() == (0, 0)
    assert engine.random.taken == []


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def verify_accepts_only_the_signature(dut) -> None:
    """A reference signature passes; any change, zero, or a value of n or more does not."""
    engine = Engine(dut)
    await engine.start()
    e = sha384(b"message")
    key = ec.derive_private_key(IDENTITY, ec.SECP384R1())
    r, s = utils.decode_dss_signature(
        key.sign(e.to_bytes(48, "big"), ec.ECDSA(utils.Prehashed(hashes.SHA384()))))
    x, y = public_of(IDENTITY)
    good = {"x": x, "y": y, "e": e, "r": r, "s": s}
    assert await engine.run(VERIFY, **good) == OK
    dut._log.info("cycles of OpVerify: %d", engine.cycles)
    assert await engine.outputs() == (0, 0)
    for change in ({"e": e ^ 1 << 383}, {"y": P - y}):
        assert await engine.run(VERIFY, **{**good, **change}) == INVALID, change
    for change in ({"r": 0}, {"s": 0}, {"r": N}, {"s": N}, {"r": 2**384 - 1}):
        assert await engine.run(VERIFY, **{**good, **change}) == INVALID, change
        assert engine.cycles < 5000
    assert await engine.run(VERIFY, **{**good, "y": y ^ 1}) == BAD_POINT
    # (r, n - s) is the other valid form of the same signature.
    assert await engine.run(VERIFY, **{**good, "s": N - s}) == OK


@cocotb.test(timeout_time=100, timeout_unit="ms")
@cocotb.parametrize(which=["off_curve", "infinity", "x_is_p", "y_is_p", "x_plus_p", "top", "twist"])
async def bad_peer_points_are_refused(dut, which: str) -> None:
    """BadPoint, no output, the key destroyed, nothing left; the next exchange works."""
    engine = Engine(dut)
    await engine.start()
    x, y = public_of(7)
    # A point with x below 2^384 - p, so that x + p still fits the register: 2^128 values to try.
    small = next(
        (sx, sy) for sx in range(1, 1000)
        if pow(sy := pow(rhs := (sx**3 - 3 * sx + curve_b()) % P, (P + 1) // 4, P), 2, P) == rhs)
    point = {
        "off_curve": (x, y ^ 1),
        "infinity": (0, 0),
        "x_is_p": (P, y),
        "y_is_p": (x, P),
        "x_plus_p": (small[0] + P, small[1]),
        "top": (2**384 - 1, 2**384 - 1),
        "twist": (x + 1, y),
    }[which]
    assert await engine.run(KEYGEN) == OK
    d = engine.random.last()
    assert engine.find(d) == [KEPT]
    assert await engine.run(ECDH, x=point[0], y=point[1]) == BAD_POINT
    assert engine.cycles < 5000
    assert await engine.outputs() == (0, 0)
    engine.assert_erased(keeps_key=False)
    assert await engine.run(ECDH, x=x, y=y) == NO_KEY
    if which == "x_plus_p":
        engine.random.feed(99)
        assert await engine.run(KEYGEN) == OK
        assert await engine.run(ECDH, x=small[0], y=small[1]) == OK
        assert await engine.read(0) == shared_secret(99, small)


def curve_b() -> int:
    """b of y^2 = x^3 - 3 x + b, from a point that the reference package knows."""
    x, y = public_of(3)
    return (y * y - x**3 + 3 * x) % P


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def unusable_random_values_are_drawn_again(dut) -> None:
    """0, n and above are skipped; four of them end in NoEntropy and leave no key."""
    engine = Engine(dut)
    await engine.start()
    engine.set_identity(IDENTITY)
    engine.random.feed(0, N, 2**384 - 1, 5)
    assert await engine.run(KEYGEN) == OK
    assert await engine.outputs() == public_of(5)
    engine.random.feed(N, N + 1, 0, 2**384 - 1)
    assert await engine.run(KEYGEN) == NO_ENTROPY
    assert await engine.outputs() == (0, 0)
    engine.assert_erased(keeps_key=False)
    assert len(engine.random.taken) == 8 * 12
    engine.random.feed(0, 0, 0, 0)
    assert await engine.run(SIGN, e=1) == NO_ENTROPY
    assert await engine.outputs() == (0, 0)
    x, y = public_of(2)
    assert await engine.run(ECDH, x=x, y=y) == NO_KEY


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def silent_random_port_ends_in_no_entropy(dut) -> None:
    """A bounded wait, also when the port falls silent amid a value; then all is erased."""
    engine = Engine(dut)
    await engine.start()
    engine.set_identity(IDENTITY)
    engine.random.silence(True)
    for op in (KEYGEN, SIGN):
        assert await engine.run(op) == NO_ENTROPY
        assert TIMEOUT < engine.cycles < TIMEOUT + 2 * WIPE_CYCLES + 600
        engine.assert_erased(keeps_key=False)
    engine.random.silence(False)
    await engine.begin(KEYGEN)
    for _ in range(5):
        await FallingEdge(dut.rnd_ready_o)
    engine.random.silence(True)
    assert await engine.finish() == NO_ENTROPY
    assert 0 < len(engine.random.taken) < 12
    engine.assert_erased(keeps_key=False)
    # Slow words are no fault: the wait is counted anew for each.
    engine.random.silence(True)
    await engine.begin(KEYGEN)
    for _ in range(12):
        await engine.cycles_later(TIMEOUT // 2)
        await FallingEdge(dut.clk_i)
        engine.random.silence(False)
        await FallingEdge(dut.rnd_ready_o)
        await FallingEdge(dut.clk_i)
        engine.random.silence(True)
    assert await engine.finish() == OK
    assert await engine.outputs() == public_of(engine.random.last())


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def key_survives_other_operations_until_used(dut) -> None:
    """Keygen, sign, public, verify, then ECDH with the first d; a new keygen replaces it."""
    engine = Engine(dut)
    await engine.start()
    engine.set_identity(IDENTITY)
    x, y = public_of(11)
    assert await engine.run(KEYGEN) == OK
    assert await engine.run(KEYGEN) == OK
    d = engine.random.last()
    assert await engine.run(SIGN, e=5) == OK
    assert await engine.run(VERIFY, x=x, y=y, e=5, r=1, s=1) == INVALID
    assert await engine.run(7) == INVALID
    assert engine.find(d) == [KEPT]
    assert await engine.run(ECDH, x=x, y=y) == OK
    assert await engine.read(0) == shared_secret(d, (x, y))
    engine.assert_erased(keeps_key=False, outputs=(shared_secret(d, (x, y)), 0))


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def secrets_are_erased_at_the_end(dut) -> None:
    """d, k, the identity key and the shared point are in the memory during, and gone after."""
    engine = Engine(dut)
    await engine.start()
    engine.set_identity(IDENTITY)

    await engine.begin(KEYGEN)
    await engine.cycles_later(20_000)
    d = engine.random.last()
    assert KEPT in engine.find(d) and len(engine.find(d)) == 2
    assert await engine.finish() == OK
    assert engine.find(d) == [KEPT]
    own = await engine.outputs()
    engine.assert_erased(keeps_key=True, outputs=own)

    e = sha384(b"erase me")
    await engine.write(2, e)
    await engine.begin(SIGN)
    await engine.cycles_later(20_000)
    k = engine.random.last()
    assert k != d
    assert engine.find(k) and engine.find(IDENTITY) and engine.find(e)
    assert await engine.finish() == OK
    assert not engine.find(k) and not engine.find(IDENTITY)
    engine.assert_erased(keeps_key=True, outputs=await engine.outputs())

    x, y = public_of(12345)
    await engine.write(0, x)
    await engine.write(1, y)
    await engine.begin(ECDH)
    await engine.cycles_later(20_000)
    assert len(engine.find(d)) == 2
    assert await engine.finish() == OK
    secret, other = await engine.outputs()
    assert other == 0
    engine.assert_erased(keeps_key=False, outputs=(secret, 0))
    assert await engine.run(WIPE) == OK
    engine.assert_erased(keeps_key=False)
    assert await engine.outputs() == (0, 0)

    # Erasing an unused key.
    assert await engine.run(KEYGEN) == OK
    await engine.write(IN_X, 77)
    assert await engine.run(WIPE) == OK
    engine.assert_erased(keeps_key=False)
    assert await engine.run(ECDH, x=x, y=y) == NO_KEY


@cocotb.test(timeout_time=100, timeout_unit="ms")
@cocotb.parametrize(after=[0, 1, 2, 60, 131, 140, 500, 1000, 10_000], hold=[1, 300])
async def zeroize_aborts_and_erases(dut, after: int, hold: int) -> None:
    """At any time, for a pulse or a level: Aborted within 131 cycles, nothing left, usable."""
    engine = Engine(dut)
    await engine.start()
    engine.random.feed(3)
    if after == 1000:
        # Late in the other direction: while a key is held and the engine is idle.
        assert await engine.run(KEYGEN) == OK
    else:
        await engine.begin(KEYGEN)
        await engine.cycles_later(after)
        await FallingEdge(dut.clk_i)
    running = int(dut.busy_o.value)
    dut.zeroize_i.value = 1
    await FallingEdge(dut.clk_i)
    assert int(dut.u_sequencer.holds_key_q.value) == 0
    await FallingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    for j in range(25):
        assert int(dut.u_alu.gen_lane[j].u_lane.acc_q.value) == 0
        assert int(dut.u_alu.gen_lane[j].u_lane.a_q.value) == 0
    if hold == 1:
        dut.zeroize_i.value = 0
    await engine.cycles_later(129)
    await FallingEdge(dut.clk_i)
    engine.assert_erased(keeps_key=False)
    if hold > 1:
        assert int(dut.busy_o.value) == 1
        assert int(dut.op_ready_o.value) == 0
        await engine.cycles_later(hold)
        await FallingEdge(dut.clk_i)
        assert int(dut.busy_o.value) == 1
        dut.zeroize_i.value = 0
    while int(dut.busy_o.value):
        await RisingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
    if running:
        assert int(dut.result_code_o.value) == ABORTED
    assert await engine.outputs() == (0, 0)
    x, y = public_of(2)
    assert await engine.run(ECDH, x=x, y=y) == NO_KEY
    if after in (500, 1000):
        engine.random.queue.clear()
        engine.random.feed(8)
        assert await engine.run(KEYGEN) == OK
        assert await engine.outputs() == public_of(8)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def word_port_shows_outputs_only(dut) -> None:
    """No address reads an input, a key or anything while busy; writes while busy change nothing."""
    engine = Engine(dut)
    await engine.start()
    engine.set_identity(IDENTITY)
    x, y = public_of(21)
    for reg in range(8):
        for word in range(16):
            await engine.write_word(reg << 4 | word, 0xA5000000 | reg << 8 | word)
    assert [await engine.read_word(a) for a in range(32)] == [0] * 32
    # Registers that do not exist in this build took nothing, nor did words 12..15.
    mem = dut.u_words.in_ram_q
    for reg in (HOOK_D, HOOK_K, 7):
        assert all(int(mem[reg << 4 | w].value) == 0 for w in range(16))
    for reg in range(5):
        assert all(int(mem[reg << 4 | w].value) == 0 for w in range(12, 16))
        assert int(mem[reg << 4 | 11].value) == 0xA500000B | reg << 8
    assert await engine.run(KEYGEN) == OK
    d = engine.random.last()
    outputs = await engine.outputs()
    await engine.write(0, x)
    await engine.write(1, y)
    await engine.begin(ECDH)
    for at in range(0, 32, 5):
        await engine.write_word(at % 12, 0xFFFFFFFF)
        assert await engine.read_word(at) == 0
    assert await engine.finish() == OK
    seen = [await engine.read_word(a) for a in range(32)]
    secret = shared_secret(d, (x, y))
    assert seen == [*words(secret), *[0] * 20]
    hidden = set(words(d)) | set(words(IDENTITY)) - {0}
    assert not hidden & set(seen)
    assert outputs != (0, 0)


# ---- Where the identity comes from --------------------------------------------------------------
def identity_file(path: Path) -> Path:
    """A key file: 12 words, most significant first."""
    path.write_text("".join(f"{w:08x}\n" for w in reversed(words(IDENTITY))))
    return path


def test_p384_identity_from_plusarg(tmp_path: Path) -> None:
    simulate("p384_engine", "cocotb_tests.crypto_p384.identity", sources=SOURCES,
             parameters={"RandomTimeoutCycles": TIMEOUT},
             plusargs=[f"+identity={identity_file(tmp_path / 'key.hex')}"])


def test_p384_refuses_without_identity() -> None:
    simulate("p384_engine", "cocotb_tests.crypto_p384.no_identity", sources=SOURCES,
             parameters={"RandomTimeoutCycles": TIMEOUT})
