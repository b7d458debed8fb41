# SPDX-License-Identifier: Apache-2.0
"""The firmware's key schedule and HMAC, called in a shared library built from its sources.

Expected values: plain HKDF of `cryptography`, and, where the captures are at hand, the secrets of
recorded sessions between reference implementations.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests import native_dsm as native
from tests.capture import load

VERSIONS = pytest.mark.parametrize("version", [0x12, 0x13], ids=["1.2", "1.3"])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """bytes.c, key_schedule.c and the native HAL as one shared object."""
    try:
        cc = native.compiler()
    except native.MissingToolError as error:
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("library") / "firmware.so"
    sources = [*native.firmware_sources(),
               *(p for p in sorted((native.FIRMWARE / "native").glob("*.c")) if p.name != "main.c")]
    subprocess.run([cc, "-shared", "-fPIC", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O1",
                    f"-I{native.FIRMWARE}", *map(str, sources), "-o", str(out), "-lcrypto"],
                   check=True)
    return ctypes.CDLL(str(out))


def info(version: int, label: str, length: int, context: bytes = b"") -> bytes:
    return length.to_bytes(2, "little") + f"spdm1.{version & 15} {label}".encode() + context


def hkdf_expand(secret: bytes, version: int, label: str, length: int = 48,
                context: bytes = b"") -> bytes:
    text = info(version, label, length, context)
    return HKDFExpand(hashes.SHA384(), length, text).derive(secret)


class Firmware:
    """The functions of key_schedule.h on bytes."""

    def __init__(self, library: ctypes.CDLL, version: int) -> None:
        self._library = library
        self._version = ctypes.c_uint8(version)

    def handshake(self, shared: bytes, th1: bytes) -> tuple[bytes, bytes, bytes]:
        out = [ctypes.create_string_buffer(48) for _ in range(3)]
        self._library.ks_handshake_secret(shared, out[0])
        self._library.ks_handshake_traffic(self._version, out[0], th1, out[1], out[2])
        return out[0].raw, out[1].raw, out[2].raw

    def application(self, handshake: bytes, th2: bytes) -> tuple[bytes, bytes]:
        out = [ctypes.create_string_buffer(48) for _ in range(2)]
        self._library.ks_application_traffic(self._version, handshake, th2, out[0], out[1])
        return out[0].raw, out[1].raw

    def finished(self, secret: bytes) -> bytes:
        out = ctypes.create_string_buffer(48)
        self._library.ks_finished_key(self._version, secret, out)
        return out.raw

    def record(self, secret: bytes) -> tuple[bytes, bytes]:
        key, iv = ctypes.create_string_buffer(32), ctypes.create_string_buffer(12)
        self._library.ks_record_key(self._version, secret, key, iv)
        return key.raw, iv.raw

    def update(self, secret: bytes) -> bytes:
        buffer = ctypes.create_string_buffer(secret, 48)
        self._library.ks_update(self._version, buffer)
        return buffer.raw


@VERSIONS
def test_every_derivation_is_plain_hkdf(library: ctypes.CDLL, version: int) -> None:
    firmware = Firmware(library, version)
    for _ in range(20):
        shared, th1, th2 = (os.urandom(48) for _ in range(3))
        handshake, request, response = firmware.handshake(shared, th1)
        assert handshake == hmac.digest(bytes(48), shared, "sha384")
        assert request == hkdf_expand(handshake, version, "req hs data", context=th1)
        assert response == hkdf_expand(handshake, version, "rsp hs data", context=th1)
        assert firmware.finished(request) == hkdf_expand(request, version, "finished")
        salt = hkdf_expand(handshake, version, "derived")
        master = hmac.digest(salt, bytes(48), "sha384")
        app_request, app_response = firmware.application(handshake, th2)
        assert app_request == hkdf_expand(master, version, "req app data", context=th2)
        assert app_response == hkdf_expand(master, version, "rsp app data", context=th2)
        key, iv = firmware.record(app_request)
        assert key == hkdf_expand(app_request, version, "key", 32)
        assert iv == hkdf_expand(app_request, version, "iv", 12)
        assert firmware.update(app_request) == hkdf_expand(app_request, version, "traffic upd")


@pytest.mark.parametrize("name", ["1.2", "1.3"])
def test_recorded_sessions_are_reproduced(library: ctypes.CDLL, name: str) -> None:
    capture = load(name)
    firmware = Firmware(library, 0x10 | int(name[-1]))
    assert capture.sessions
    for recorded in capture.sessions:
        value = {key: bytes.fromhex(text) for key, text in recorded.items()
                 if isinstance(text, str)}
        handshake, request, response = firmware.handshake(value["dhe_shared_secret"],
                                                          value["th1_hash"])
        assert handshake == value["handshake_secret"]
        assert request == value["request_handshake_secret"]
        assert response == value["response_handshake_secret"]
        finished = [firmware.finished(secret).hex() for secret in (request, response)]
        assert finished == recorded["finished_keys_req_rsp"]
        app_request, app_response = firmware.application(handshake, value["th2_hash"])
        assert app_request == value["request_data_secret"]
        assert app_response == value["response_data_secret"]
        updated = firmware.update(app_request)
        assert updated == value["request_data_secret_updated"]
        pairs = [firmware.record(secret)
                 for secret in (request, response, app_request, app_response, updated)]
        assert [key.hex() for key, _iv in pairs] == recorded["record_keys"]
        assert [iv.hex() for _key, iv in pairs] == recorded["record_ivs"]


@pytest.mark.parametrize("size", [0, 1, 47, 48, 111, 112, 127, 128, 129, 255, 256, 1000, 4608])
def test_hash_in_pieces_and_hmac(library: ctypes.CDLL, size: int) -> None:
    """The running state is exported after every piece, as a transcript does."""
    data = os.urandom(size)
    for piece in (1, 7, 64, 128, 200, 5000):
        state = ctypes.create_string_buffer(8 * 8 + 8 + 128 + 8)
        library.hal_sha384_init(state)
        for at in range(0, size, piece):
            part = data[at:at + piece]
            state = ctypes.create_string_buffer(state.raw, len(state))
            library.hal_sha384_update(state, part, ctypes.c_size_t(len(part)))
        digest = ctypes.create_string_buffer(48)
        library.hal_sha384_final(state, digest)
        assert digest.raw == hashlib.sha384(data).digest()
        assert not any(state.raw)
    for key in (b"", b"k", os.urandom(48), os.urandom(128)):
        mac = ctypes.create_string_buffer(48)
        library.hmac_sha384(key, ctypes.c_size_t(len(key)), data, ctypes.c_size_t(size), mac)
        assert mac.raw == hmac.digest(key, data, "sha384")


def test_firmware_fits_its_rom() -> None:
    """Code and constants below 48 KiB, variables below 20 KiB (two chains, a message in chunks,
    a decrypted request), for rv32im at -Os. The stack takes 10 of the 32 KiB of RAM."""
    sizes = native.rv32_sizes()
    assert sum(fixed for fixed, _variable in sizes.values()) < 48 * 1024
    assert sum(variable for _fixed, variable in sizes.values()) < 20 * 1024


def test_no_heap_and_no_library_but_memory_functions(tmp_path: Path) -> None:
    """Undefined symbols of the firmware are the HAL's, its own, and mem*."""
    nm = "nm"
    defined: set[str] = set()
    wanted: set[str] = set()
    cc = native.compiler()
    for source in native.firmware_sources():
        obj = tmp_path / f"{source.stem}.o"
        subprocess.run([cc, "-std=c11", "-O1", "-c", f"-I{native.FIRMWARE}", str(source),
                        "-fno-stack-protector", "-o", str(obj)], check=True)
        listing = subprocess.run([nm, str(obj)], capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            *_address, kind, symbol = line.split()
            (wanted if kind == "U" else defined).add(symbol)
    outside = {name for name in wanted - defined if not name.startswith(("hal_", "_GLOBAL_"))}
    assert outside <= {"memcpy", "memset", "memmove", "memcmp"}
