# SPDX-License-Identifier: Apache-2.0
"""p384_engine with TestHooks against published vectors (NIST CAVP files of cryptography_vectors).

The fast run takes two records of each kind, the long run (TEEIO_LONG) takes all of them. A hash
that is not 48 bytes long is brought to 384 bits as FIPS 186-5 section 6.4.1 says: its leftmost
384 bits, or the shorter hash as it is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import Any, TypeVar

import cocotb
import pytest

from cocotb_tests.crypto_p384.bench import (
    BAD_POINT,
    ECDH,
    INVALID,
    KEPT,
    KEYGEN,
    NO_ENTROPY,
    NO_KEY,
    OK,
    SIGN,
    SOURCES,
    VERIFY,
    Engine,
    N,
    public_of,
    shared_secret,
    vectors,
)
from cocotb_tests.env.runner import simulate

FIPS = "ECDSA/FIPS_186-3"
KAS = "ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_"
HASHES = ("SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512")

T = TypeVar("T")


def test_p384_vectors() -> None:
    simulate("p384_engine", __name__, sources=SOURCES, parameters={"TestHooks": 1})


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_p384_vectors_all() -> None:
    simulate("p384_engine", __name__, sources=SOURCES, parameters={"TestHooks": 1},
             extra_env={"TEEIO_LONG": "1"})


def some(records: Iterable[T]) -> list[T]:
    """All records in the long run, else the first two."""
    out = list(records)
    assert out
    return out if os.environ.get("TEEIO_LONG") else out[:2]


def hash_value(name: str, message: str) -> int:
    """Leftmost 384 bits of the hash of a hexadecimal message."""
    digest = hashlib.new(name.replace("-", ""), bytes.fromhex(message)).digest()
    return int.from_bytes(digest[:48], "big")


def number(record: dict[str, str], name: str) -> int:
    return int(record[name], 16)


async def engine_for(dut: Any) -> Engine:
    """An engine whose random port is silent: nothing may come from there."""
    engine = Engine(dut)
    engine.random.silence(True)
    await engine.start()
    return engine


@cocotb.test(timeout_time=2000, timeout_unit="ms")
@cocotb.parametrize(hash_name=HASHES)
async def signatures_are_those_of_the_vectors(dut, hash_name: str) -> None:
    """SigGen: r and s for given d, k and message."""
    engine = await engine_for(dut)
    if hash_name != "SHA-384" and not os.environ.get("TEEIO_LONG"):
        return
    times = set()
    for v in some(vectors(f"{FIPS}/SigGen.txt", f"P-384,{hash_name}")):
        engine.set_identity(number(v, "d"))
        result = await engine.run(SIGN, e=hash_value(hash_name, v["Msg"]), k=number(v, "k"))
        assert result == OK
        assert await engine.outputs() == (number(v, "R"), number(v, "S"))
        times.add(engine.cycles)
    assert len(times) == 1, times


@cocotb.test(timeout_time=3000, timeout_unit="ms")
@cocotb.parametrize(hash_name=HASHES)
async def verification_agrees_with_the_vectors(dut, hash_name: str) -> None:
    """SigVer: good ones pass; changed message, key, r or s are refused."""
    engine = await engine_for(dut)
    if hash_name != "SHA-384" and not os.environ.get("TEEIO_LONG"):
        return
    seen = set()
    for v in some(vectors(f"{FIPS}/SigVer.rsp", f"P-384,{hash_name}")):
        result = await engine.run(
            VERIFY, x=number(v, "Qx"), y=number(v, "Qy"), e=hash_value(hash_name, v["Msg"]),
            r=number(v, "R"), s=number(v, "S"))
        good = v["Result"].startswith("P")
        assert result == OK if good else result in (INVALID, BAD_POINT), v["Result"]
        seen.add(good)
    assert seen == {True, False}


@cocotb.test(timeout_time=1000, timeout_unit="ms")
async def key_pairs_are_those_of_the_vectors(dut) -> None:
    """KeyPair: d gives (Qx, Qy)."""
    engine = await engine_for(dut)
    records = [v for v in vectors(f"{FIPS}/KeyPair.rsp", "P-384") if "d" in v]
    for v in some(records):
        assert await engine.run(KEYGEN, d=number(v, "d")) == OK
        assert await engine.outputs() == (number(v, "Qx"), number(v, "Qy"))


@cocotb.test(timeout_time=1000, timeout_unit="ms")
async def public_keys_are_judged_as_in_the_vectors(dut) -> None:
    """PKV: points off the curve or with coordinates out of range are refused."""
    engine = await engine_for(dut)
    for v in some(vectors(f"{FIPS}/PKV.rsp", "P-384")):
        x, y = number(v, "Qx"), number(v, "Qy")
        if max(x, y) >> 384:
            continue                      # a 49-byte coordinate has no place in the register
        assert await engine.run(KEYGEN, d=3) == OK
        result = await engine.run(ECDH, x=x, y=y)
        if v["Result"].startswith("P"):
            assert result == OK
            assert await engine.read(0) == shared_secret(3, (x, y))
        else:
            assert result == BAD_POINT, v["Result"]


@cocotb.test(timeout_time=3000, timeout_unit="ms")
@cocotb.parametrize(side=["init", "resp"])
async def shared_secrets_are_those_of_the_vectors(dut, side: str) -> None:
    """KAS, static unified model: public key and Z, or refusal of the peer's invalid point."""
    engine = await engine_for(dut)
    for v in some(vectors(f"{KAS}{side}.fax", "ED - SHA384")):
        verdict = v["Result"]
        d, peer = number(v, "dsIUT"), (number(v, "QsCAVSx"), number(v, "QsCAVSy"))
        assert await engine.run(KEYGEN, d=d) == OK
        own = await engine.outputs()
        assert own == public_of(d)
        claimed = (number(v, "QsIUTx"), number(v, "QsIUTy"))
        try:
            secret = shared_secret(d, peer)
        except ValueError:
            assert verdict.startswith("F"), verdict
            assert await engine.run(ECDH, x=peer[0], y=peer[1]) == BAD_POINT
            continue
        assert await engine.run(ECDH, x=peer[0], y=peer[1]) == OK
        assert await engine.read(0) == secret
        if verdict.startswith("P"):
            assert own == claimed
            assert secret == number(v, "Z")


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def hooks_obey_the_range_check(dut) -> None:
    """d or k of 0 or n is refused even here, and input words are consumed."""
    engine = await engine_for(dut)
    engine.set_identity(5)
    for bad in (0, N, 2**384 - 1):
        assert await engine.run(KEYGEN, d=bad) == NO_ENTROPY
        assert await engine.run(SIGN, e=1, k=bad) == NO_ENTROPY
        assert await engine.outputs() == (0, 0)
        engine.assert_erased(keeps_key=False)
    assert await engine.run(KEYGEN, d=9) == OK
    assert engine.find(9) == [KEPT]
    assert await engine.run(KEYGEN) == NO_ENTROPY
    assert await engine.run(ECDH) == NO_KEY


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def zero_s_is_never_given_out(dut) -> None:
    """e = -r d makes s = 0: four attempts with the same k, then Invalid and no output."""
    engine = await engine_for(dut)
    d, k = 0x1234567, 0x89ABCDEF
    engine.set_identity(d)
    r = public_of(k)[0] % N
    assert await engine.run(SIGN, e=-r * d % N, k=k) == INVALID
    assert await engine.outputs() == (0, 0)
    engine.assert_erased(keeps_key=False)
    assert await engine.run(SIGN, e=(1 - r * d) % N, k=k) == OK
    assert await engine.outputs() == (r, pow(k, -1, N))
