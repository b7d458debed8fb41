# SPDX-License-Identifier: Apache-2.0
"""Root-port IDE against the check vectors of the fact sheet, and its refusals."""

from __future__ import annotations

import pytest

from teeio.core.ide import IdeCheckFailed, IdeFault, IdeStream
from teeio.errors import LocalError
from teeio.wire import tlp as t

# Key as AES bytes, and the four independent vectors of the facts (wire prefix‖header, P, C, MAC).
KEY = bytes.fromhex("df254152056e02e0ef8b7feb9739d4d96a4eb80103241df7cd5e24b49ccd2720")
V1 = ("92000105", "400000010000000f10000000", "deadbeef", "933e447c", "b09edfa8dc939bacbc9d90a2")
V2 = ("92010115", "200000010008050f0000000120000000", "", "", "b3fbdf424b3cca7b040e9bc6")
V3 = ("92000125", "4a0000010100000400080500", "11223344", "e6079c77", "3e3392689008dac8c49d0998")


def stream(keys: bool = True) -> IdeStream:
    s = IdeStream(1, 0x0000, 0x0100, enabled=True)
    if keys:
        for is_tx in (False, True):
            for sub in range(3):
                s.program_key(is_tx, sub, 0, KEY)
                s.go(is_tx, sub, 0)
    return s


@pytest.mark.parametrize("vector", [V1, V2, V3], ids=["PR", "NPR", "CPL"])
def test_transmit_matches_the_check_vectors(vector: tuple[str, ...]) -> None:
    prefix, header, plain, cipher, mac = (bytes.fromhex(x) for x in vector)
    s = stream()
    # The prefix of the vector carries PR_Sent=1: one posted TLP went before.
    for _ in range(prefix[1]):
        s.protect(t.Tlp(bytes.fromhex(V1[1]), bytes.fromhex(V1[2])), True)
    assert s.protect(t.Tlp(header, plain), True) == [prefix + header + cipher + mac]


@pytest.mark.parametrize("vector", [V1, V3], ids=["PR", "CPL"])
def test_receive_matches_the_check_vectors(vector: tuple[str, ...]) -> None:
    prefix, header, plain, cipher, mac = (bytes.fromhex(x) for x in vector)
    assert stream().unprotect(prefix + header + cipher + mac) == (t.Tlp(header, plain), True)


def test_every_single_bit_flip_is_refused_and_kills_the_stream() -> None:
    wire = b"".join(bytes.fromhex(x) for x in (V1[0], V1[1], V1[3], V1[4]))
    for bit in range(8 * len(wire)):
        if bit // 8 in (0, 2):      # prefix type and Stream ID route the TLP to another stream
            continue
        bad = bytearray(wire)
        bad[bit // 8] ^= 1 << bit % 8
        s = stream()
        with pytest.raises(IdeCheckFailed):
            s.unprotect(bytes(bad))
        assert s.failed and not s.secure and not list(s.secrets())


def test_replay_reorder_and_loss_are_refused() -> None:
    a, b = stream(), stream()
    one, two = (a.protect(t.mem_write(0x1000, bytes([i]) * 4, 0), True)[0] for i in range(2))
    assert b.unprotect(one)[0] is not None
    for bad in (one,):
        with pytest.raises(IdeCheckFailed) as error:
            b.unprotect(bad)
        assert error.value.fault is IdeFault.MAC
    c = stream()
    with pytest.raises(IdeCheckFailed):
        c.unprotect(two)


def test_read_that_overtakes_a_write_is_refused() -> None:
    a, b = stream(), stream()
    a.protect(t.mem_write(0x1000, bytes(4), 0), True)
    read = a.protect(t.mem_read(0x1000, 1, 0, 0), True)[0]
    with pytest.raises(IdeCheckFailed) as error:
        b.unprotect(read)
    assert error.value.fault is IdeFault.PR_COUNTER


def test_600_posted_writes_stay_within_the_counters() -> None:
    a, b = stream(), stream()
    synced = 0
    for i in range(600):
        out = a.protect(t.mem_write(0x1000, i.to_bytes(4, "little"), 0), True)
        synced += len(out) - 1
        for wire in out:
            b.unprotect(wire)
    assert synced == 2
    for wire in a.protect(t.mem_read(0x1000, 1, 0, 0), True):
        assert b.unprotect(wire)[0] is not None


def test_key_refresh_flips_each_sub_stream_at_its_next_tlp() -> None:
    a, b = stream(), stream()
    for side, is_tx in ((b, False), (a, False), (a, True), (b, True)):
        for sub in range(3):
            side.program_key(is_tx, sub, 1, bytes(range(32)))
            side.go(is_tx, sub, 1)
    wire = a.protect(t.mem_write(0x1000, bytes(4), 0), True)[0]
    assert wire[3] & 2, "K did not flip"
    assert b.unprotect(wire)[0] is not None
    old = stream().protect(t.mem_write(0x1000, bytes(4), 0), True)[0]
    with pytest.raises(IdeCheckFailed) as error:
        b.unprotect(old)
    assert error.value.fault is IdeFault.NO_KEY


def test_nothing_is_sent_without_keys() -> None:
    with pytest.raises(LocalError):
        stream(keys=False).protect(t.mem_write(0, bytes(4), 0), True)


def test_keys_do_not_appear_in_repr() -> None:
    assert KEY.hex() not in repr(stream()) and "df2541" not in repr(stream())
