# SPDX-License-Identifier: Apache-2.0
"""The AES-256-GCM vectors of NIST's validation suite, as packaged by cryptography_vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cryptography_vectors


@dataclass(frozen=True, slots=True)
class GcmVector:
    """One record; `fail` means that the given tag is wrong for the given input."""

    name: str
    decrypt: bool
    key: bytes
    iv: bytes
    aad: bytes
    data: bytes     # input: plaintext or ciphertext
    result: bytes   # expected output, empty if `fail`
    tag: bytes      # 4 to 16 bytes, truncated as in the record
    fail: bool


def records(filename: str) -> Iterator[dict[str, str]]:
    """The `name = value` records of a CAVP file; a bare FAIL line becomes the key FAIL."""
    fields: dict[str, str] = {}
    with cryptography_vectors.open_vector_file(filename, "r") as file:
        for raw in file:
            line = raw.strip()
            if not line or line.startswith(("#", "[")):
                continue
            name, _, value = (part.strip() for part in line.partition("="))
            if name == "Count" and fields:
                yield fields
                fields = {}
            fields[name] = value
    if fields:
        yield fields


def gcm_vectors(filename: str) -> list[GcmVector]:
    """All records with a 96-bit IV and at least one byte of AAD or data.

    Args:
        filename: "gcmEncryptExtIV256.rsp" or "gcmDecrypt256.rsp".
    """
    decrypt = "Decrypt" in filename
    out = []
    for number, rec in enumerate(records(f"ciphers/AES/GCM/{filename}")):
        raw = {k: bytes.fromhex(v) for k, v in rec.items() if k not in ("Count", "FAIL")}
        data, result = (("CT", "PT") if decrypt else ("PT", "CT"))
        if len(raw["IV"]) != 12 or not (raw["AAD"] or raw[data]):
            continue
        out.append(GcmVector(
            name=f"{filename} record {number}", decrypt=decrypt, key=raw["Key"], iv=raw["IV"],
            aad=raw["AAD"], data=raw[data], result=raw.get(result, b""), tag=raw["Tag"],
            fail="FAIL" in rec))
    return out
