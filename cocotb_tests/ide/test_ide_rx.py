# SPDX-License-Identifier: Apache-2.0
"""ide_rx with ide_streams: what is delivered, and for every bad input what happens instead.

Stream blocks in these tests: 0 = stream under test (Stream ID 1), 1 = its neighbour (Stream ID 2),
which must not notice anything.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import cocotb
from cocotb.triggers import FallingEdge

from cocotb_tests.env.runner import simulate
from cocotb_tests.env.streams import random_pauses
from cocotb_tests.ide import headers as h
from cocotb_tests.ide.bench import (
    AER_ICF,
    AER_MALFORMED,
    AER_MISROUTED,
    REQUESTER_ID,
    RX,
    SOURCES,
    TX,
    WRAPPER,
    Bench,
    Partner,
)
from cocotb_tests.ide.model import (
    CPL,
    MSG_FAIL,
    MSG_SYNC,
    NPR,
    PR,
    IdeTlp,
    make_prefix,
    message,
)


def test_ide_rx() -> None:
    simulate("ide_bench", __name__, sources=SOURCES, extra_sources=[WRAPPER])


# Check vectors: key, then (prefix, header, plaintext, ciphertext, MAC), each the first of its
# sub-stream, Stream ID 1, K0, T=1.
VECTOR_KEY = bytes.fromhex("df254152056e02e0ef8b7feb9739d4d96a4eb80103241df7cd5e24b49ccd2720")
VECTORS = [
    ("92000105", "400000010000000f10000000", "deadbeef", "933e447c", "b09edfa8dc939bacbc9d90a2"),
    ("92010115", "200000010008050f0000000120000000", "", "", "b3fbdf424b3cca7b040e9bc6"),
    ("92000125", "4a0000010100000400080500", "11223344", "e6079c77", "3e3392689008dac8c49d0998"),
]

# Enough for the longest TLP to pass the engine and for a bank to be swept.
SETTLE = 420


async def start(dut, **kwargs) -> tuple[Bench, Partner, Partner]:
    """Bench with the stream under test and its neighbour, both Secure."""
    tb = Bench(dut, **kwargs)
    await tb.start()
    a = await tb.bring_up(0, 1, tag=0x0A0A)
    b = await tb.bring_up(1, 2, tag=0x0B0B, key_set=1)
    tb.events()
    return tb, a, b


async def expect(tb: Bench, header: bytes, payload: bytes, **fields: int) -> None:
    """The next delivered TLP is exactly this one."""
    got_header, got_payload, first = await tb.delivered()
    assert (got_header.hex(), got_payload.hex()) == (header.hex(), payload.hex())
    for name, value in fields.items():
        assert first[name] == value, f"{name} = {first[name]}, expected {value}"


async def good(tb: Bench, p: Partner, t: int = 1, dws: int = 3) -> None:
    """One good posted write on a stream passes, with its meta."""
    header, payload = h.mwr32(0x2000_0000, dws), tb.rng.randbytes(4 * dws)
    tb.receive(p.send.protect(header, payload, t=t))
    await expect(tb, header, payload, ide=1, t_bit=t, block=p.block, stream_id=p.send.stream_id,
                 associate=0)


async def expect_check_failed(tb: Bench, a: Partner, b: Partner, *, header: bytes,
                              prefix: bytes | None) -> None:
    """Everything that an IDE Check Failed condition on stream a must and must not do."""
    await tb.cycles(SETTLE)
    assert tb.rx.queue.empty(), "part of a refused TLP was delivered"
    assert tb.secure() == [0, 1, 0] and tb.tags() == [0, b.tag, 0]
    assert len(tb.aer_events) == 1, tb.aer_events
    event = tb.aer_events[0]
    assert event["error"] == AER_ICF and event["func"] == 0 and not event["all_funcs"]
    assert event["header"].to_bytes(16, "big")[:len(header)] == header
    assert (event["prefix_valid"], event["prefix"].to_bytes(4, "big")) == (
        (1, prefix) if prefix else (0, bytes(4)))
    tb.take_aer()
    assert tb.events() == {"icf[0]": 1, "insecure[0]": 1, "fail_send": 1, "own_posted": 1,
                           "rx_drop": 1}
    fail = await tb.emitted()
    assert fail == IdeTlp(b"", message(MSG_FAIL, REQUESTER_ID, 0x0100, 1), b"", b"")
    # Later TLPs of the stream vanish without a word; the neighbour does not notice.
    tb.receive(a.send.protect(h.mrd32(0x1000, 1), t=1, pr_sent=0))
    await tb.cycles(SETTLE)
    await good(tb, b)
    assert tb.silent() and not tb.aer_events and tb.events() == {"rx_drop": 1}


# ---- Good traffic ----

@cocotb.test(timeout_time=100, timeout_unit="us")
async def check_vectors_are_accepted(dut) -> None:
    """pcie 6.33.5: the three check vectors decrypt and verify."""
    tb = Bench(dut)
    await tb.start()
    await tb.bring_up(0, 1, keys={(d, s): VECTOR_KEY for d in (RX, TX) for s in (PR, NPR, CPL)})
    for prefix, header, plain, cipher, mac in VECTORS:
        tb.receive(IdeTlp(*(bytes.fromhex(x) for x in (prefix, header, cipher, mac))))
        await expect(tb, bytes.fromhex(header), bytes.fromhex(plain), ide=1, t_bit=1, stream_id=1,
                     prefix_valid=1, prefix=int(prefix, 16))


def random_tlp(rng: random.Random) -> tuple[bytes, bytes]:
    """A TLP that is allowed on a selective stream."""
    dws = rng.choice([1, 2, 3, 4, 5, 8, 15, 16, 17, 32, 63, 64])
    address = rng.randrange(0, 1 << 30) & ~3
    requester = rng.randrange(1 << 16)
    kind = rng.randrange(9)
    if kind == 0:
        return h.mwr32(address, dws, requester=requester), rng.randbytes(4 * dws)
    if kind == 1:
        return h.mwr64(address << 33, dws, requester=requester), rng.randbytes(4 * dws)
    if kind == 2:
        return h.mrd32(address, dws, tag=rng.randrange(256)), b""
    if kind == 3:
        return h.mrd64(address << 32, dws, tag=rng.randrange(256)), b""
    if kind == 4:
        return h.cpl(status=rng.choice([0, 1, 4]), tag=rng.randrange(32)), b""
    if kind == 5:
        return h.cpl(length_dw=dws, tag=rng.randrange(32)), rng.randbytes(4 * dws)
    if kind == 6:
        return h.msg(0x7F, 0, rest=rng.randbytes(8)), b""
    if kind == 7:
        return h.msg(0x7E, 2, rest=rng.randbytes(8), length_dw=dws), rng.randbytes(4 * dws)
    return bytes([0x4C, 0, 0, 1]) + h.mwr32(address, 1)[4:], rng.randbytes(4)  # FetchAdd


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], stall=[0.0, 0.5])
async def mixed_traffic_arrives_in_order_and_intact(dut, idle: float, stall: float) -> None:
    """Two streams and plain TLPs interleaved, all classes and sizes, any pauses: nothing lost."""
    tb, a, b = await start(dut, idle=random_pauses(1, idle) if idle else None,
                           stall=random_pauses(2, stall) if stall else None)
    expected = []
    for _ in range(120):
        header, payload = random_tlp(tb.rng)
        who = tb.rng.choice([a, b, None])
        if who is None:
            tb.receive(header=header, payload=payload)
            expected.append((header, payload, {"ide": 0, "t_bit": 0}))
        else:
            t = tb.rng.randrange(2)
            tb.receive(who.send.protect(header, payload, t=t))
            expected.append((header, payload, {
                "ide": 1, "t_bit": t, "block": who.block, "stream_id": who.send.stream_id}))
    for header, payload, fields in expected:
        await expect(tb, header, payload, **fields)
    assert tb.secure() == [1, 1, 0] and not tb.aer_events and not tb.events()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def engine_keeps_its_rate_on_full_payloads(dut) -> None:
    """Eight 256-byte writes back to back take at most 20 cycles a block (16 blocks each)."""
    tb, a, _ = await start(dut)
    tlps = [(h.mwr64(0x1_0000_0000, 64), tb.rng.randbytes(256)) for _ in range(8)]
    for header, payload in tlps:
        tb.receive(a.send.protect(header, payload))
    await expect(tb, *tlps[0])
    begin = cocotb.utils.get_sim_time("ns")
    for header, payload in tlps[1:]:
        await expect(tb, header, payload)
    cycles = (cocotb.utils.get_sim_time("ns") - begin) / 10 / 7
    dut._log.info("ide_rx: %.1f cycles per 256-byte TLP", cycles)
    assert cycles <= 20 * 16


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def sync_lets_the_counters_survive_600_writes(dut) -> None:
    """pcie 6.33.8: 600 posted writes, a Sync before the 8-bit field would overflow, then a read."""
    tb, a, _ = await start(dut)
    for i in range(600):
        header, payload = h.mwr32(4 * i, 1), i.to_bytes(4, "big")
        if a.send.pr_npr == 250:
            tb.receive(a.send.sync())
        tb.receive(a.send.protect(header, payload))
        await expect(tb, header, payload)
    for header in (h.mrd32(0, 1), h.cpl()):
        tlp = a.send.protect(header)
        assert tlp.prefix[1] == 100
        tb.receive(tlp)
        await expect(tb, header, b"")
    assert tb.secure()[0] == 1 and tb.rx.queue.empty() and not tb.aer_events


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def posted_may_pass_without_harm(dut) -> None:
    """A PR that overtakes an NPR leaves a positive remainder; that is legal."""
    tb, a, _ = await start(dut)
    read = a.send.protect(h.mrd32(0, 1))          # sent first: PR_Sent 0
    write = a.send.protect(h.mwr32(0, 1), bytes(4))
    for tlp, payload in ((write, bytes(4)), (read, b"")):
        tb.receive(tlp)
        await expect(tb, tlp.header, payload)
    tlp = a.send.protect(h.mrd32(8, 1))
    assert tlp.prefix[1] == 1
    tb.receive(tlp)
    await expect(tb, tlp.header, b"")
    assert tb.secure()[0] == 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def key_refresh_accepts_both_sets_until_the_flip(dut) -> None:
    """6.33.6: K0 -> K1 -> K0 under traffic; each sub-stream flips by itself, old keys retire."""
    tb, a, _ = await start(dut)

    async def traffic(sub: int) -> None:
        header, payload = {PR: (h.mwr32(0x40, 2), tb.rng.randbytes(8)), NPR: (h.mrd32(0, 1), b""),
                           CPL: (h.cpl(length_dw=1), tb.rng.randbytes(4))}[sub]
        tb.receive(a.send.protect(header, payload, t=1))
        await expect(tb, header, payload)

    for new in (1, 0):
        for sub in (PR, NPR, CPL):
            await traffic(sub)
        await tb.key_all(a, new)
        for sub in (PR, NPR, CPL):
            await traffic(sub)                 # programmed, not GO'd: old set still in use
        await tb.go_all(a, new)
        for sub in (CPL, PR, NPR):
            await traffic(sub)                 # GO'd: the old set is accepted until the flip
            assert tb.find(a.keys[RX, sub, 1 - new])
            a.send.flip(sub, new)
            await traffic(sub)
            await tb.cycles(30)
            assert not tb.find(a.keys[RX, sub, 1 - new]), "the retired key is still there"
            await traffic(sub)
    assert tb.secure()[0] == 1 and not tb.aer_events and not tb.events()


# ---- IDE Check Failed ----

def flipped(part: str, bit: int) -> Callable[[Partner], IdeTlp]:
    """A good write with one bit changed."""
    return lambda p: p.send.protect(h.mwr32(0x80, 4), bytes(range(16)), t=1).flip(part, bit)


def lost(p: Partner) -> IdeTlp:
    """The TLP after a lost one."""
    p.send.protect(h.mwr32(0x80, 1), bytes(4))
    return p.send.protect(h.mwr32(0x84, 1), bytes(4))


def foreign_key(p: Partner) -> IdeTlp:
    """Protected under another key."""
    p.send.keys[PR, 0] = bytes(32)
    return p.send.protect(h.mwr32(0x80, 1), bytes(4))


BAD: dict[str, Callable[[Partner], IdeTlp]] = {
    "row1_mac_first_bit": flipped("mac", 0),
    "row1_mac_last_bit": flipped("mac", 95),
    "row1_payload": flipped("body", 77),
    "row1_header_address": flipped("header", 70),
    "row1_t_bit": flipped("prefix", 31),
    "row1_pr_sent_counter_in_pr": flipped("prefix", 15),
    "row1_lost": lost,
    "row1_foreign_key": foreign_key,
    "row2_npr_underflow": lambda p: p.send.protect(h.mrd32(0, 1), pr_sent=1),
    "row2_cpl_underflow": lambda p: p.send.protect(h.cpl(), pr_sent=1),
    **{f"row4_sub_stream_{s}": (lambda p, s=s: p.send.protect(h.mwr32(0, 1), bytes(4), sub=s))
       for s in (3, 4, 7)},
    "row5_write_as_npr": lambda p: p.send.protect(h.mwr32(0, 1), bytes(4), sub=NPR),
    "row5_read_as_pr": lambda p: p.send.protect(h.mrd32(0, 1), sub=PR),
    "row5_completion_as_pr": lambda p: p.send.protect(h.cpl(), sub=PR),
    "row6_no_mac_bit": lambda p: p.send.protect(h.mwr32(0, 1), bytes(4), m=0),
    "row10_io_read": lambda p: p.send.protect(h.io(0x02)),
    "row10_io_write": lambda p: p.send.protect(h.io(0x42), bytes(4)),
    "row10_cfg0_read": lambda p: p.send.protect(h.config(0x04)),
    "row10_cfg0_write": lambda p: p.send.protect(h.config(0x44), bytes(4)),
    "row10_cfg1_without_enable": lambda p: p.send.protect(h.config(0x05)),
    "row19_pcrc_bit": lambda p: p.send.protect(h.mwr32(0, 1), bytes(4), p=1),
    "sync_underflow": lambda p: p.send.protect(
        message(MSG_SYNC, 0, 0x0100, 1, 1, 0), count=False),
}


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(case=sorted(BAD))
async def bad_tlp_is_check_failed(dut, case: str) -> None:
    """One bad TLP: dropped, AER 28 with both logs, Insecure, IDE Fail sent, then silence."""
    tb, a, b = await start(dut)
    await good(tb, a)
    a.send.protect(h.mrd32(0, 1))  # resets the sender's NPR counter; this TLP stays unsent,
    a.send.invocation[NPR] -= 1    # so the next NPR has the right IV and PR_Sent_Counter 0
    a.send.protect(h.cpl())
    a.send.invocation[CPL] -= 1
    if case.startswith("row2") or case == "sync_underflow":
        # Bring the receiver's own counters to zero first.
        for tlp in (a.send.protect(h.mrd32(0, 1), pr_sent=1), a.send.protect(h.cpl(), pr_sent=1)):
            tb.receive(tlp)
            await expect(tb, tlp.header, b"")
    tlp = BAD[case](a)
    tb.receive(tlp)
    await expect_check_failed(tb, a, b, header=tlp.header, prefix=tlp.prefix)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def replayed_tlp_is_check_failed(dut) -> None:
    """Row 1: the same TLP twice."""
    tb, a, b = await start(dut)
    tlp = a.send.protect(h.mwr32(0, 2), bytes(8))
    tb.receive(tlp)
    await expect(tb, tlp.header, bytes(8))
    tb.receive(tlp)
    await expect_check_failed(tb, a, b, header=tlp.header, prefix=tlp.prefix)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reordered_sub_stream_is_check_failed(dut) -> None:
    """Row 1: two TLPs of one sub-stream swapped."""
    tb, a, b = await start(dut)
    a.send.protect(h.mrd32(0, 1, tag=1))
    second = a.send.protect(h.mrd32(0, 1, tag=2))
    tb.receive(second)
    await expect_check_failed(tb, a, b, header=second.header, prefix=second.prefix)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def read_that_overtakes_a_write_is_check_failed(dut) -> None:
    """Row 2: NPR must not pass PR."""
    tb, a, b = await start(dut)
    a.send.protect(h.mwr32(0, 1), bytes(4))
    read = a.send.protect(h.mrd32(0, 1))
    assert read.prefix[1] == 1
    tb.receive(read)
    await expect_check_failed(tb, a, b, header=read.header, prefix=read.prefix)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def receive_counter_overflow_is_check_failed(dut) -> None:
    """Row 3: 1024 PRs with no NPR, CPL or Sync in between."""
    tb, a, b = await start(dut)
    for i in range(1023):
        header = h.msg(0x7F, rest=i.to_bytes(8, "big"))
        tb.receive(a.send.protect(header))
        await expect(tb, header, b"")
    tlp = a.send.protect(h.msg(0x7F))
    tb.receive(tlp)
    await expect_check_failed(tb, a, b, header=tlp.header, prefix=tlp.prefix)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(case=["never_programmed", "programmed_not_go", "retired"])
async def key_set_that_is_not_in_use_is_check_failed(dut, case: str) -> None:
    """Rows 8 and 9: K names a set without GO, or one that was retired."""
    tb, a, b = await start(dut)
    await good(tb, a)
    if case != "never_programmed":
        await tb.key_all(a, 1)
    if case == "retired":
        await tb.go_all(a, 1)
        old = a.send.invocation[PR]
        a.send.flip(PR, 1)
        await good(tb, a)
        a.send.key_set[PR], a.send.invocation[PR] = 0, old
    else:
        a.send.keys.setdefault((PR, 1), bytes(32))
        a.send.flip(PR, 1)
    tlp = a.send.protect(h.mwr32(0, 1), bytes(4))
    tb.receive(tlp)
    await expect_check_failed(tb, a, b, header=tlp.header, prefix=tlp.prefix)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def any_flipped_bit_is_refused(dut) -> None:
    """Sampled positions over prefix, header, payload and MAC: no TLP with a wrong bit passes.

    A changed Stream ID or TC is Misrouted, TD=1 is Malformed, both without state change; all
    others are Check Failed. Byte 0 of the prefix decides whether it is an IDE TLP at all and is
    judged before this block.
    """
    tb = Bench(dut)
    await tb.start()
    sample = [("prefix", i) for i in range(8, 32)]
    sample += [("header", i) for i in tb.rng.sample(range(3, 96), 30)]
    sample += [("header", i) for i in (9, 10, 11, 16)]
    sample += [("body", i) for i in tb.rng.sample(range(160), 12)]
    sample += [("mac", i) for i in tb.rng.sample(range(96), 16)]
    await tb.configure(0, enable=0)
    for part, bit in sample:
        a = await tb.bring_up(0, 1)
        tb.events()
        tlp = a.send.protect(h.mwr32(0x1234_5678 & ~3, 5), tb.rng.randbytes(20), t=1)
        tb.receive(tlp.flip(part, bit))
        await tb.cycles(SETTLE)
        assert tb.rx.queue.empty(), f"{part} bit {bit}: delivered"
        if part == "header" and bit == 16:
            error = AER_MALFORMED
        elif (part, bit) in {("prefix", i) for i in range(16, 24)} | {
                ("header", i) for i in (9, 10, 11)}:
            error = AER_MISROUTED
        else:
            error = AER_ICF
            assert (await tb.emitted()).header[7] == MSG_FAIL
        assert tb.take_aer() == [error], f"{part} bit {bit}"
        assert tb.secure()[0] == int(error != AER_ICF), f"{part} bit {bit}"
        await tb.configure(0, enable=0)
        await tb.cycles(4)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(case=["other_stream", "plain"])
async def completion_off_its_request_stream_is_check_failed(dut, case: str) -> None:
    """Rows 11 and 12: a completion on another stream, or in clear, for a protected request."""
    tb, a, b = await start(dut)
    request = h.mrd64(0x1_0000_0000, 1, requester=0x0502, tag=7)
    block = 1 if case == "other_stream" else 0
    tb.send(request, ide=1, block=block, t_bit=1)
    (b if block else a).receive.accept(await tb.emitted())
    header = h.cpl(requester=0x0502, tag=7, length_dw=1)
    if case == "other_stream":
        tlp = a.send.protect(header, bytes(4), t=1)
        tb.receive(tlp)
        await expect_check_failed(tb, a, b, header=header, prefix=tlp.prefix)
    else:
        tb.receive(header=header, payload=bytes(4))
        await expect_check_failed(tb, a, b, header=header, prefix=None)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def completions_on_the_right_stream_pass_and_free_the_tag(dut) -> None:
    """A request answered in two parts on its stream; then the tag serves a plain request."""
    tb, a, _ = await start(dut)
    request = h.mrd64(0x1_0000_0000, 4, requester=0x0503, tag=9)
    tb.send(request, ide=1, block=0, t_bit=1)
    a.receive.accept(await tb.emitted())
    for count in (16, 8):
        header = h.cpl(requester=0x0503, tag=9, length_dw=2, byte_count=count)
        tb.receive(a.send.protect(header, bytes(8), t=0))
        await expect(tb, header, bytes(8), ide=1, block=0)
    tb.receive(header=header, payload=bytes(8))   # unexpected: for the router to judge
    await expect(tb, header, bytes(8), ide=0)
    tb.send(request)
    assert (await tb.emitted()).prefix == b""
    tb.receive(header=header, payload=bytes(8))
    await expect(tb, header, bytes(8), ide=0)
    assert tb.secure()[0] == 1 and not tb.aer_events


# ---- Misrouted, silent, malformed ----

@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(case=["unknown_stream", "ready_but_disabled", "other_tc"])
async def misrouted_tlp_changes_no_state(dut, case: str) -> None:
    """Rows 13, 15, 16: AER 29, drop, no completion, the stream goes on."""
    tb, a, b = await start(dut)
    if case == "ready_but_disabled":
        c = await tb.bring_up(2, 3, is_link=1)
        await tb.configure(2, enable=0)
        await tb.cycles(300)
        await tb.key_all(c, 0)
        await tb.go_all(c, 0)
        c.send.invocation = [1, 1, 1]
        tlp = c.send.protect(h.mrd32(0, 1))
    elif case == "other_tc":
        tlp = a.send.protect(h.mwr32(0, 1, tc=1), bytes(4))
        a.send.invocation[PR] -= 1
        a.send.pr_npr = a.send.pr_cpl = 0
    else:
        a.send.stream_id = 77
        tlp = a.send.protect(h.mrd32(0, 1))
        a.send.stream_id = 1
        a.send.invocation[NPR] -= 1
    tb.events()
    tb.receive(tlp)
    await tb.cycles(SETTLE)
    assert tb.silent() and tb.events() == {"rx_drop": 1}
    event = tb.aer_events[0]
    assert event["header"].to_bytes(16, "big")[:len(tlp.header)] == tlp.header
    assert event["prefix"].to_bytes(4, "big") == tlp.prefix
    assert tb.take_aer() == [AER_MISROUTED]
    assert tb.secure()[:2] == [1, 1]
    await good(tb, a)
    await good(tb, b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def enabled_insecure_stream_drops_silently(dut) -> None:
    """Row 14: enabled, keys never there."""
    tb, _, b = await start(dut)
    await tb.configure(2, enable=1, stream_id=9, is_link=0)
    tb.receive(IdeTlp(make_prefix(0, 9, PR), h.mwr32(0, 1), bytes(4), bytes(12)))
    await tb.cycles(SETTLE)
    assert tb.silent() and not tb.aer_events and tb.events() == {"rx_drop": 1}
    await good(tb, b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def malformed_comes_before_every_ide_check(dut) -> None:
    """Row 37: a malformed TLP with a bad MAC and a wrong stream: ingress reports it, not this."""
    tb, a, b = await start(dut)
    for stream_id in (1, 50):
        tlp = IdeTlp(make_prefix(0, stream_id, PR), h.mwr32(0, 4), bytes(16), bytes(12))
        tb.receive(tlp, malformed=True)
    tb.receive(header=h.mwr32(0, 4), payload=bytes(16), malformed=True)
    await tb.cycles(SETTLE)
    assert tb.silent() and not tb.aer_events and tb.events() == {"rx_drop": 3}
    await good(tb, a)
    await good(tb, b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def digest_in_an_ide_tlp_is_malformed(dut) -> None:
    """Row 38: TD=1 in an IDE TLP; the stream is not touched."""
    tb, a, _ = await start(dut)
    header = bytearray(h.mwr32(0, 1))
    header[2] |= 0x80
    tlp = a.send.protect(bytes(header), bytes(4))
    a.send.invocation[PR] -= 1
    a.send.pr_npr = a.send.pr_cpl = 0
    tb.receive(tlp)
    await tb.cycles(SETTLE)
    assert tb.silent() and tb.events() == {"rx_drop": 1}
    assert tb.aer_events[0]["all_funcs"] == 1
    assert tb.take_aer() == [AER_MALFORMED]
    await good(tb, a)


# ---- Link stream, messages, overflow ----

@cocotb.test(timeout_time=1, timeout_unit="ms")
async def link_stream_refuses_plain_tlps_once_it_was_used(dut) -> None:
    """Row 24; before the first IDE TLP plain ones still pass (6.4); IDE Fail always passes."""
    tb = Bench(dut)
    await tb.start()
    link = await tb.bring_up(2, 5, is_link=1)
    tb.events()
    tb.receive(header=h.config(0x04))
    await expect(tb, h.config(0x04), b"", ide=0)
    for header, payload in ((h.config(0x44), bytes(4)), (h.io(0x02), b"")):
        tb.receive(link.send.protect(header, payload))    # any type is allowed on a link stream
        await expect(tb, header, payload, ide=1, block=2)
    tb.receive(header=message(MSG_FAIL, 0, 0, 5, link=True))
    await tb.cycles(SETTLE)
    assert tb.events() == {"fail_received[2]": 1, "rx_drop": 1} and tb.secure()[2] == 1
    tb.receive(header=h.mrd32(0x10, 1))
    await tb.cycles(SETTLE)
    assert tb.rx.queue.empty() and tb.secure() == [0, 0, 0] and tb.take_aer() == [AER_ICF]
    assert (await tb.emitted()).header == message(MSG_FAIL, REQUESTER_ID, 0, 5, link=True)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def selective_stream_does_not_stop_plain_tlps(dut) -> None:
    """Row 25: plain TLPs pass beside a Secure selective stream, without T."""
    tb, a, _ = await start(dut)
    await good(tb, a)
    for header, payload in ((h.mwr32(0, 1), bytes(4)), (h.config(0x04), b""), (h.cpl(), b"")):
        tb.receive(header=header, payload=payload)
        await expect(tb, header, payload, ide=0, t_bit=0, prefix_valid=0)
    await good(tb, a)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def foreign_prefix_is_no_ide_tlp(dut) -> None:
    """A TPH, PASID or vendor prefix whose bytes name a Secure stream: passes as a plain TLP for the
    router to refuse, messages of IDE included, and no stream, counter or status notices."""
    tb, a, b = await start(dut)
    for first in (0x90, 0x91, 0x93, 0x9E, 0x9F):
        for byte3 in (0x05, 0x15, 0x25, 0x33, 0x0B):
            prefix = bytes([first, 0, a.send.stream_id, byte3])
            for header, payload in (
                    (h.mwr32(0x2000_0000, 6), tb.rng.randbytes(24)), (h.mrd32(0x1000, 1), b""),
                    (h.cpl(length_dw=2), bytes(8)), (h.config(0x04), b""),
                    (message(MSG_FAIL, REQUESTER_ID, 0x0100, 1), b""),
                    (message(MSG_SYNC, REQUESTER_ID, 0x0100, 1), b"")):
                tb.receive(header=header, payload=payload, prefix=prefix)
                await expect(tb, header, payload, ide=0, t_bit=0, prefix_valid=1,
                             prefix=int.from_bytes(prefix, "big"))
    assert tb.secure() == [1, 1, 0] and not tb.aer_events and not tb.events()
    await good(tb, a)
    await good(tb, b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def config_on_a_selective_stream_needs_its_enable(dut) -> None:
    """2.3 bit 9: type 1 configuration requests pass when enabled."""
    tb = Bench(dut)
    await tb.start()
    a = await tb.bring_up(0, 1, cfg_enable=1)
    for header, payload in ((h.config(0x05), b""), (h.config(0x45), bytes(4))):
        tb.receive(a.send.protect(header, payload))
        await expect(tb, header, payload, ide=1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def fail_message_sets_the_bit_and_nothing_else(dut) -> None:
    """Row 28: consumed, fail_received of the named enabled block, no state change."""
    tb, a, b = await start(dut)
    for stream_id, seen in ((2, {"fail_received[1]": 1}), (1, {"fail_received[0]": 1}),
                            (99, {})):
        tb.receive(header=message(MSG_FAIL, 0x0100, REQUESTER_ID, stream_id))
        await tb.cycles(60)
        assert tb.events() == {**seen, "rx_drop": 1}
    tb.receive(header=message(MSG_SYNC, 0x0100, REQUESTER_ID, 1, 0xFFFF, 0xFFFF))  # unprotected
    await tb.cycles(60)
    assert tb.silent() and not tb.aer_events and tb.secure() == [1, 1, 0]
    assert tb.events() == {"rx_drop": 1}
    await good(tb, a)
    await good(tb, b)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def used_up_invocation_field_ends_the_stream(dut) -> None:
    """Row 40: the TLP with the last invocation value is delivered, then the stream is Insecure."""
    tb, a, b = await start(dut)
    await good(tb, a)
    dut.u_rx.u_counters.next_q[0].value = 2**64 - 2
    a.send.invocation[PR] = 2**64 - 2
    await good(tb, a)
    assert tb.secure()[0] == 1
    await good(tb, a)
    await tb.cycles(4)
    assert tb.secure() == [0, 1, 0]
    assert tb.events() == {"insecure[0]": 1} and not tb.aer_events
    await good(tb, b)


# ---- Residue, and keys that fall half way ----

@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(case=["good", "bad_mac"])
async def no_plaintext_stays_behind(dut, case: str) -> None:
    """After delivery, and after a refused TLP, no bank holds any of the plaintext."""
    tb, a, b = await start(dut)
    payload = b"".join(bytes([i]) * 16 for i in range(0x21, 0x31))
    tlp = a.send.protect(h.mwr64(0x1_0000_0000, 64), payload)
    tb.receive(tlp if case == "good" else tlp.flip("mac", 40))
    if case == "good":
        await expect(tb, tlp.header, payload)
        await tb.cycles(2)
    else:
        await expect_check_failed(tb, a, b, header=tlp.header, prefix=tlp.prefix)
    for bank in (dut.u_rx.gen_bank[0], dut.u_rx.gen_bank[1]):
        for i in range(16):
            value = int(bank.u_bank.mem_q[i].value).to_bytes(16, "big")
            assert value not in (payload[16 * i:16 * i + 16], tlp.body[16 * i:16 * i + 16])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def stream_that_falls_during_a_tlp_delivers_all_or_nothing(dut) -> None:
    """A reconfiguration event at (almost) every cycle of a TLP's way through ide_rx."""
    tb = Bench(dut)
    await tb.start()
    b = await tb.bring_up(1, 2, tag=0x0B0B)
    outcomes = set()
    for delay in [*range(0, 130, 3), 200]:
        a = await tb.bring_up(0, 1)
        header, payload = h.mwr32(0x100, 8), tb.rng.randbytes(32)
        tb.receive(a.send.protect(header, payload))
        for _ in range(delay):
            await FallingEdge(dut.clk_i)
        await tb.pulse("reconfig_i", 1)
        await tb.cycles(200)
        assert tb.secure() == [0, 1, 0] and not tb.aer_events
        outcomes.add(not tb.rx.queue.empty())
        if not tb.rx.queue.empty():
            await expect(tb, header, payload)
        assert tb.rx.queue.empty()
        await good(tb, b)
        await tb.configure(0, enable=0)
    assert outcomes == {True, False}

