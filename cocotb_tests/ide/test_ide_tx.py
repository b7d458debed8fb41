# SPDX-License-Identifier: Apache-2.0
"""ide_tx with ide_streams: every protected TLP is checked by the partner model, bit for bit."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import random_pauses
from cocotb_tests.ide import headers as h
from cocotb_tests.ide.bench import REQUESTER_ID, RX, SOURCES, TX, WRAPPER, Bench, Partner
from cocotb_tests.ide.model import CPL, MSG_FAIL, MSG_SYNC, NPR, PR, CheckFailed, IdeTlp, message


def test_ide_tx() -> None:
    simulate("ide_bench", __name__, sources=SOURCES, extra_sources=[WRAPPER])


# Check vectors (prefix, header, plaintext, ciphertext, MAC), each the first of its sub-stream.
VECTOR_KEY = bytes.fromhex("df254152056e02e0ef8b7feb9739d4d96a4eb80103241df7cd5e24b49ccd2720")
VECTORS = [
    ("92000125", "4a0000010100000400080500", "11223344", "e6079c77", "3e3392689008dac8c49d0998"),
    ("92000105", "400000010000000f10000000", "deadbeef", "933e447c", "b09edfa8dc939bacbc9d90a2"),
    ("92010115", "200000010008050f0000000120000000", "", "", "b3fbdf424b3cca7b040e9bc6"),
]
LIMIT = 400   # cycles within which any TLP has passed


async def start(dut: Any, **kwargs: Any) -> tuple[Bench, Partner, Partner]:
    """Bench with two Secure streams: block 0 = Stream ID 1 (K0), block 1 = Stream ID 2 (K1)."""
    tb = Bench(dut, **kwargs)
    await tb.start()
    a = await tb.bring_up(0, 1, tag=0x0A0A)
    b = await tb.bring_up(1, 2, tag=0x0B0B, key_set=1)
    tb.events()
    return tb, a, b


async def good(tb: Bench, p: Partner, t: int = 1) -> None:
    """One TLP given to a block comes out protected and verifies."""
    header, payload = h.mwr64(0x1_2345_0000, 3), tb.rng.randbytes(12)
    tb.send(header, payload, ide=1, block=p.block, t_bit=t)
    tlp = await tb.emitted()
    assert tlp.header == header and p.receive.accept(tlp) == (payload, t)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def check_vectors_are_produced(dut: Any) -> None:
    """6.33.5: prefix, ciphertext and MAC of the three check vectors."""
    tb = Bench(dut)
    await tb.start()
    await tb.bring_up(0, 1, keys={(d, s): VECTOR_KEY for d in (RX, TX) for s in (PR, NPR, CPL)})
    for prefix, header, plain, cipher, mac in VECTORS:
        tb.send(bytes.fromhex(header), bytes.fromhex(plain), ide=1, block=0, t_bit=1)
        tlp = await tb.emitted()
        assert (tlp.prefix.hex(), tlp.header.hex(), tlp.body.hex(), tlp.mac.hex()) == (
            prefix, header, cipher, mac)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], stall=[0.0, 0.5])
async def mixed_traffic_leaves_in_order(dut: Any, idle: float, stall: float) -> None:
    """Two streams and plain TLPs of all classes and sizes, strictly first in, first out."""
    tb, a, b = await start(dut, idle=random_pauses(3, idle) if idle else None,
                           stall=random_pauses(4, stall) if stall else None)
    expected: list[tuple[Partner | None, int, bytes, bytes]] = []
    for _ in range(120):
        dws = tb.rng.choice([1, 2, 3, 4, 5, 16, 31, 64])
        header, payload = tb.rng.choice([
            (h.mwr64(0x5_0000_0000, dws), tb.rng.randbytes(4 * dws)),
            (h.mwr32(0x5000, dws), tb.rng.randbytes(4 * dws)),
            (h.mrd64(0x5_0000_0000, dws, tag=tb.rng.randrange(32)), b""),
            (h.cpl(length_dw=dws), tb.rng.randbytes(4 * dws)),
            (h.cpl(status=1), b""),
        ])
        who = tb.rng.choice([a, b, None])
        t = tb.rng.randrange(2) if who else 0
        tb.send(header, payload, **({"ide": 1, "block": who.block, "t_bit": t} if who else {}))
        expected.append((who, t, header, payload))
    for who, t, header, payload in expected:
        tlp = await tb.emitted()
        assert tlp.header == header
        if who is None:
            assert (tlp.prefix, tlp.body, tlp.mac) == (b"", payload, b"")
        else:
            assert who.receive.accept(tlp) == (payload, t)
    assert tb.secure() == [1, 1, 0] and not tb.events()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def sync_is_sent_in_time_over_600_writes(dut: Any) -> None:
    """6.33.8: 600 posted writes in a row; the partner's counters never pass 8 bits.

    The Sync carries both counters; the read and the completion after it carry the rest.
    """
    tb, a, b = await start(dut)
    got = 0
    highest = 0
    for i in range(600):
        tb.send(h.mwr32(4 * i, 1), i.to_bytes(4, "big"), ide=1, block=0, t_bit=1)
    while got < 600:
        tlp = await tb.emitted()
        before = a.receive.pr_npr
        plain, _ = a.receive.accept(tlp)
        if tlp.header[0] == 0x32:
            assert tlp.header == message(MSG_SYNC, REQUESTER_ID, 0x0100, 1, before, before)
            assert a.receive.pr_npr == a.receive.pr_cpl == 0
        else:
            assert plain == got.to_bytes(4, "big")
            got += 1
        highest = max(highest, a.receive.pr_npr, a.receive.pr_cpl)
    assert a.receive.syncs == 2 and highest <= 255
    tb.send(h.mrd32(0, 1), ide=1, block=0, t_bit=1)
    tb.send(h.cpl(), ide=1, block=0, t_bit=1)
    for _ in range(2):
        tlp = await tb.emitted()
        assert tlp.prefix[1] == 600 % 240
        a.receive.accept(tlp)
    assert (a.receive.pr_npr, a.receive.pr_cpl) == (0, 0)
    assert tb.events() == {"own_posted": 2}
    await good(tb, b)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def counters_are_kept_per_class_and_stream(dut: Any) -> None:
    """An NPR resets its own counter only; the other stream counts by itself."""
    tb, a, b = await start(dut)
    for p, n in ((a, 3), (b, 1)):
        for _ in range(n):
            await good(tb, p)
    for p, header, count in ((a, h.mrd32(0, 1), 3), (a, h.mrd32(0, 1), 0), (b, h.cpl(), 1),
                             (a, h.cpl(), 3), (b, h.mrd32(0, 1), 1)):
        tb.send(header, ide=1, block=p.block)
        tlp = await tb.emitted()
        assert tlp.prefix[1] == count
        p.receive.accept(tlp)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def key_refresh_flips_each_channel_at_its_next_tlp(dut: Any) -> None:
    """6.33.6: K0 -> K1 -> K0 under traffic; the IV restarts at 1; old keys are erased."""
    tb, a, _ = await start(dut)

    async def traffic(sub: int) -> int:
        header, payload = {PR: (h.mwr32(0x40, 2), tb.rng.randbytes(8)), NPR: (h.mrd32(0, 1), b""),
                           CPL: (h.cpl(length_dw=1), tb.rng.randbytes(4))}[sub]
        tb.send(header, payload, ide=1, block=0, t_bit=1)
        tlp = await tb.emitted()
        assert a.receive.accept(tlp) == (payload, 1)
        return tlp.prefix[3] >> 1 & 1

    for new in (1, 0):
        for sub in (PR, NPR, CPL):
            assert await traffic(sub) == 1 - new
        await tb.key_all(a, new)
        for sub in (PR, NPR, CPL):
            assert await traffic(sub) == 1 - new    # programmed is not yet GO'd
        a.receive.accepts_flip = True
        await tb.go_all(a, new)
        for sub in (CPL, PR, NPR, CPL):
            assert await traffic(sub) == new
        await tb.cycles(150)
        for sub in (PR, NPR, CPL):
            assert not tb.find(a.keys[TX, sub, 1 - new]), "the retired key is still there"
        a.receive.accepts_flip = False
        for sub in (PR, NPR, CPL):
            assert await traffic(sub) == new
    assert tb.secure()[0] == 1 and not tb.events()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def key_refresh_works_without_traffic(dut: Any) -> None:
    """Three refreshes in a row with no TLP in between: Secure throughout, no key is refused."""
    tb, a, b = await start(dut)
    for new in (1, 0, 1):
        await tb.key_all(a, new)
        await tb.go_all(a, new)
        assert tb.secure()[:2] == [1, 1]
    a.receive.key_set = [1, 1, 1]
    await good(tb, a)
    header = h.mwr32(0x40, 1)
    for sub in (PR, NPR, CPL):
        a.send.flip(sub, 1)
    tb.receive(a.send.protect(header, bytes(4)))
    assert (await tb.delivered())[:2] == (header, bytes(4))
    await good(tb, b)


# ---- Association ----

def associated(cfg: list[dict[str, int]], header: bytes) -> int | None:
    """The block that a T=0 TLP belongs to by the association rules (6.33.4); None = plain."""
    kind = header[0]
    tc = header[1] >> 4 & 7
    is_message = kind & 0x18 == 0x10
    routing = kind & 7
    enabled = [b for b in range(3) if cfg[b].get("enable") and cfg[b].get("tc", 0) == tc]
    selective = [b for b in enabled if not cfg[b].get("is_link") and not cfg[b].get("tee_limited")]
    for b in selective:
        c = cfg[b]
        if kind & 0x1F in (0x0A, 0x0B) or (is_message and routing == 2):
            rid = int.from_bytes(header[8:10], "big")
            if c.get("rid_valid") and c["rid_base"] <= rid <= c["rid_limit"]:
                return b
        elif not is_message and kind & 0x1F in (0x00, 0x01, 0x0C, 0x0D, 0x0E, 0x1B):
            address = int.from_bytes(header[8:16 if kind & 0x20 else 12], "big")
            if c.get("addr_valid") and c["addr_base"] <= address >> 20 <= c["addr_limit"]:
                return b
    for b in selective:
        if c_default(cfg[b]) and not (is_message and routing in (3, 4, 5)):
            return b
    for b in enabled:
        if cfg[b].get("is_link"):
            return b
    return None


def c_default(c: dict[str, int]) -> int:
    """Default Stream bit."""
    return c.get("default_stream", 0)


def random_registers(rng: random.Random) -> list[dict[str, int]]:
    """Random stream registers over a small space, so that ranges hit, touch and miss."""
    out = []
    for block in range(3):
        rid = sorted(rng.choices([0x0100, 0x0101, 0x0200, 0xFFFF, 0], k=2))
        mem = sorted(rng.choices([0, 1, 0x123, 0x124, 0x10_0000, 0xFFF_FFFF_FFFF], k=2))
        out.append({
            "is_link": int(block == 2), "stream_id": block + 1, "tc": rng.choice([0, 0, 0, 1]),
            "default_stream": rng.randrange(2),
            "tee_limited": int(block < 2 and rng.random() < 0.2),
            "rid_valid": rng.randrange(2), "rid_base": rid[0], "rid_limit": rid[1],
            "addr_valid": rng.randrange(2), "addr_base": mem[0], "addr_limit": mem[1]})
    return out


def random_request(rng: random.Random) -> tuple[bytes, bytes]:
    """A TLP that a device may send by association."""
    rid = rng.choice([0x0100, 0x0101, 0x0102, 0x0200, 0])
    address = rng.choice([0, 0xF_FFFC, 0x10_0000, 0x1230_0000, 0x123F_FFFC, 0x1240_0000])
    tc = rng.choice([0, 0, 0, 1])
    kind = rng.randrange(8)
    rest = rid.to_bytes(2, "big") + bytes(6)
    header, payload = {
        0: lambda: (h.mwr32(address, 1, tc=tc), rng.randbytes(4)),
        1: lambda: (h.mwr64(address | rng.choice([0, 1 << 40]), 1, tc=tc), rng.randbytes(4)),
        2: lambda: (h.mrd32(address, 1), b""),
        3: lambda: (h.mrd64(address | rng.choice([0, 1 << 40]), 1), b""),
        4: lambda: (h.msg(0x31, 0), b""),
        5: lambda: (h.msg(0x7F, 2, rest=rest), b""),
        6: lambda: (h.msg(0x7F, rng.choice([4, 5]), rest=rest), b""),
        7: lambda: (h.cpl(requester=rid), b""),
    }[kind]()
    return header, payload


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def association_follows_the_registers(dut: Any) -> None:
    """Random registers and requests: RID, address, default, link, plain, in this order.

    Blocks that are enabled but not Secure swallow their TLPs; nothing leaves in clear that has a
    stream. Registers are set before Enable, as software must.
    """
    tb = Bench(dut)
    await tb.start()
    hits = set()
    for _ in range(14):
        registers = random_registers(tb.rng)
        partners: list[Partner | None] = [None] * 3
        for block in range(3):
            choice = tb.rng.random()
            if choice < 0.6:
                partners[block] = await tb.bring_up(block, **registers[block])
            else:
                await tb.configure(block, **registers[block], enable=int(choice < 0.8))
        for _ in range(16):
            header, payload = random_request(tb.rng)
            want = associated(tb.cfg, header)
            tb.events()
            tb.send(header, payload, associate=1)
            if want is None:
                assert await tb.emitted() == IdeTlp(b"", header, payload, b"")
                hits.add("plain")
            elif partners[want] is None:
                await tb.cycles(LIMIT)
                assert tb.silent() and tb.events() == {"tx_drop": 1}
                hits.add("drop")
            else:
                tlp = await tb.emitted()
                partner = partners[want]
                assert partner is not None
                assert tlp.prefix[2] == want + 1
                assert partner.receive.accept(tlp) == (payload, 0)
                hits.add(f"block{want}")
        for block in range(3):
            await tb.configure(block, enable=0)
        await tb.cycles(4)
    assert hits == {"plain", "drop", "block0", "block1", "block2"}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nothing_leaves_in_clear_that_has_a_stream(dut: Any) -> None:
    """6.6: given or associated, on a stream that is not Secure: swallowed, one drop each."""
    tb, a, b = await start(dut)
    await tb.configure(0, default_stream=1)
    await tb.pulse("reconfig_i", 0b001)
    await tb.cycles(4)
    tb.events()
    header = h.mwr64(0x1_0000_0000, 5)
    for meta in ({"ide": 1, "block": 0, "t_bit": 1}, {"ide": 1, "block": 0}, {"associate": 1},
                 {"ide": 1, "block": 2}, {"ide": 1, "block": 3}, {"t_bit": 1},
                 {"t_bit": 1, "associate": 1}):
        tb.send(header, bytes(20), **meta)
        await tb.cycles(LIMIT)
        assert tb.silent(), meta
        assert tb.events() == {"tx_drop": 1}, meta
    await good(tb, b)
    assert a.block == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def tee_limited_stream_carries_only_t1(dut: Any) -> None:
    """6.2: T=0 on a TEE-Limited stream is dropped when given, and plain by association."""
    tb = Bench(dut)
    await tb.start()
    a = await tb.bring_up(0, 1, default_stream=1, tee_limited=1)
    await good(tb, a)
    tb.events()
    tb.send(h.mrd32(0, 1), ide=1, block=0, t_bit=0)
    await tb.cycles(LIMIT)
    assert tb.silent() and tb.events() == {"tx_drop": 1}
    tb.send(h.mrd32(0, 1), associate=1)
    assert (await tb.emitted()).prefix == b""
    await good(tb, a)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def other_tc_than_the_stream_is_dropped(dut: Any) -> None:
    """A protected TLP of another TC would be Misrouted at the partner: it does not leave."""
    tb, a, _ = await start(dut)
    tb.send(h.mwr32(0, 1, tc=2), bytes(4), ide=1, block=0, t_bit=1)
    await tb.cycles(LIMIT)
    assert tb.silent() and tb.events() == {"tx_drop": 1}
    await good(tb, a)


# ---- Events ----

@cocotb.test(timeout_time=10, timeout_unit="ms")
async def stream_that_falls_during_a_tlp_sends_all_or_nothing(dut: Any) -> None:
    """A reconfiguration event at (almost) every cycle of a TLP's way through ide_tx."""
    tb = Bench(dut)
    await tb.start()
    b = await tb.bring_up(1, 2, tag=0x0B0B)
    outcomes = set()
    for delay in [*range(0, 130, 3), 220]:
        a = await tb.bring_up(0, 1)
        tb.events()
        header, payload = h.mwr64(0x1_0000_0000, 8), tb.rng.randbytes(32)
        tb.send(header, payload, ide=1, block=0, t_bit=1)
        for _ in range(delay):
            await FallingEdge(dut.clk_i)
        await tb.pulse("reconfig_i", 1)
        await tb.cycles(220)
        events = tb.events()
        sent = not tb.eg.queue.empty()
        outcomes.add(sent)
        if sent:
            assert a.receive.accept(await tb.emitted()) == (payload, 1)
        assert events == {"insecure[0]": 1, **({} if sent else {"tx_drop": 1})}, delay
        assert tb.silent()
        await good(tb, b)
        await tb.configure(0, enable=0)
    assert outcomes == {True, False}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stalled_link_never_holds_the_engine(dut: Any) -> None:
    """With the link blocked, a falling stream is erased at once; what waits is dropped."""
    tb, a, b = await start(dut, stall=random_pauses(1, 0.0))
    await good(tb, b)
    tb.eg.pauses = iter(lambda: True, False)      # link blocked for good
    for _ in range(3):
        tb.send(h.mwr64(0x1_0000_0000, 16), bytes(64), ide=1, block=0, t_bit=1)
    await tb.cycles(3 * LIMIT)
    await tb.pulse("reconfig_i", 1)
    await tb.cycles(150)
    for key in a.keys.values():
        assert not tb.find(key)
    tb.eg.pauses = random_pauses(1, 0.0)
    tlp = await tb.emitted()                      # this one had begun
    assert a.receive.accept(tlp) == (bytes(64), 1)
    await tb.cycles(LIMIT)
    assert tb.silent() and tb.events()["tx_drop"] == 2
    await good(tb, b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def fail_message_does_not_disturb_the_traffic(dut: Any) -> None:
    """6.6: IDE Fail goes out plain between protected TLPs of other streams, after a failure."""
    tb, a, b = await start(dut)
    for _ in range(4):
        tb.send(h.mwr32(0x40, 16), bytes(64), ide=1, block=1, t_bit=1)
    tb.receive(a.send.protect(h.mwr32(0, 1), bytes(4)).flip("mac", 3))
    seen_fail = 0
    for _ in range(5):
        tlp = await tb.emitted()
        if tlp.prefix:
            assert b.receive.accept(tlp) == (bytes(64), 1)
        else:
            assert tlp.header == message(MSG_FAIL, REQUESTER_ID, 0x0100, 1)
            seen_fail += 1
    assert seen_fail == 1
    await good(tb, b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def used_up_invocation_field_ends_the_stream(dut: Any) -> None:
    """Row 40: the TLP with the last invocation value leaves, then the stream is Insecure."""
    tb, a, b = await start(dut)
    await good(tb, a)
    dut.u_tx.next_q[0].value = 2**64 - 2
    a.receive.invocation[PR] = 2**64 - 2
    await good(tb, a)
    assert tb.secure()[0] == 1
    await good(tb, a)
    await tb.cycles(4)
    assert tb.secure() == [0, 1, 0] and tb.events() == {"insecure[0]": 1}
    await good(tb, b)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def engine_keeps_its_rate_on_full_payloads(dut: Any) -> None:
    """Eight 256-byte writes back to back take at most 20 cycles a block (16 blocks each)."""
    tb, a, _ = await start(dut)
    for _ in range(8):
        tb.send(h.mwr64(0x1_0000_0000, 64), bytes(256), ide=1, block=0, t_bit=1)
    a.receive.accept(await tb.emitted())
    begin = cocotb.utils.get_sim_time("ns")
    for _ in range(7):
        a.receive.accept(await tb.emitted())
    cycles = (cocotb.utils.get_sim_time("ns") - begin) / 10 / 7
    dut._log.info("ide_tx: %.1f cycles per 256-byte TLP", cycles)
    assert cycles <= 20 * 16


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def model_refuses_what_it_should(dut: Any) -> None:
    """The partner model itself is not blind: a changed bit in an emitted TLP raises."""
    tb, a, _ = await start(dut)
    tb.send(h.mwr32(0, 1), bytes(4), ide=1, block=0, t_bit=1)
    tlp = await tb.emitted()
    for part, bit in (("body", 1), ("mac", 95), ("header", 40), ("prefix", 31)):
        try:
            a.receive.accept(tlp.flip(part, bit))
        except CheckFailed:
            continue
        raise AssertionError(f"model accepted a changed {part}")
