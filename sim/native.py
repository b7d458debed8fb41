# SPDX-License-Identifier: Apache-2.0
"""The native DSM: the firmware as a Linux process, how it is built, started and spoken to.

`build` compiles firmware/*.c with the native HAL (needs a C compiler and libcrypto's headers),
`NativeDsm` runs it and carries DOE objects over its socket, `make_identity` writes a key and a
certificate slot for it.

    python -m sim.native            builds build/native/teeio-dsm
    python -m sim.native --sizes    sizes of the firmware for rv32im, file by file
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sim import toolchain

FIRMWARE = toolchain.REPO / "firmware"
OUT = toolchain.BUILD / "native"
NAME = "teeio-dsm"

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wvla")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all",
              "-fno-omit-frame-pointer")

HELLO_TIMEOUT_S = 20.0
DISCARD = b""
"""What `exchange` gives for an object that the mailbox dropped."""

COMMAND_NORMAL = 0x0001
COMMAND_CONTINUE = 0xFFFD
COMMAND_SHUTDOWN = 0xFFFE
COMMAND_HELLO = 0xDEAD
COMMAND_MODEL = 0x54454501
TRANSPORT_PCI_DOE = 2

MODEL_CONFIG_READ = 0
MODEL_CONFIG_WRITE = 1
MODEL_FLR = 2
MODEL_STREAM_FAIL = 3
MODEL_VIOLATION = 4
MODEL_RESET = 5


class MissingToolError(RuntimeError):
    """Something that the build needs is not installed; the message names the package."""


# Build --------------------------------------------------------------------------------------


def firmware_sources() -> list[Path]:
    """The firmware itself: what the SoC runs, without its entry."""
    return [p for p in sorted(FIRMWARE.glob("*.c")) if p.name != "main.c"]


def compiler() -> str:
    """A C compiler that can link against libcrypto.

    Raises:
        MissingToolError: names the package to install.
    """
    cc = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if cc is None:
        raise MissingToolError("no C compiler: install the package gcc")
    probe = subprocess.run([cc, "-E", "-x", "c", "-"], input="#include <openssl/evp.h>\n",
                           capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise MissingToolError("openssl/evp.h is missing: install the package libssl-dev")
    return cc


def build(*, sanitize: bool = False, last_session: int = 0xFFFE,
          defines: Sequence[str] = ()) -> Path:
    """Builds the native DSM and returns the program; cached by content.

    Args:
        sanitize: with address and undefined-behaviour sanitizers, which end the program.
        last_session: number of the last session before a conventional reset is due.
        defines: preprocessor definitions, NAME=VALUE (SPDM_DATA_TRANSFER_BYTES, quirks).

    Raises:
        MissingToolError: a tool or library is not installed.
        RuntimeError: the compiler refused it.
    """
    cc = compiler()
    sources = [*firmware_sources(), *sorted((FIRMWARE / "native").glob("*.c"))]
    flags = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", *WARNINGS, "-O2", "-g", f"-I{FIRMWARE}",
             f"-DSPDM_LAST_TAG={last_session}u", *(f"-D{item}" for item in defines),
             *(SANITIZERS if sanitize else ())]
    digest = hashlib.sha256(repr((cc, flags)).encode())
    for file in sorted({*sources, *FIRMWARE.glob("*.h"), *(FIRMWARE / "native").glob("*.h"),
                        FIRMWARE / "hal" / "hal.h"}):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    folder = OUT / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / NAME
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            partial = folder / f"{NAME}.new"
            result = subprocess.run(
                [cc, *flags, *map(str, sources), "-o", str(partial), "-lcrypto"],
                capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise RuntimeError(f"the native DSM does not build\n{result.stderr}")
            partial.rename(program)
    return program


def rv32_sizes() -> dict[str, tuple[int, int]]:
    """Size of each firmware file for rv32im at -Os: name -> (code and constants, variables)."""
    sizes: dict[str, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for source in [*firmware_sources(), FIRMWARE / "main.c"]:
            obj = Path(temporary) / f"{source.stem}.o"
            result = subprocess.run(
                [sys.executable, "-m", "ziglang", "cc", "-target", "riscv32-freestanding-none",
                 "-mcpu=generic_rv32+m", "-std=c11", "-Os", "-ffunction-sections",
                 "-fdata-sections", *WARNINGS, f"-I{FIRMWARE}", "-c", str(source), "-o", str(obj)],
                capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise RuntimeError(f"{source.name} does not compile for rv32\n{result.stderr}")
            sizes[source.name] = _section_sizes(obj.read_bytes())
    return sizes


def _section_sizes(elf: bytes) -> tuple[int, int]:
    """Sum of the allocated sections of an ELF32 object: (read-only, writable)."""
    offset, = struct.unpack_from("<I", elf, 32)
    entry, count = struct.unpack_from("<HH", elf, 46)
    fixed = variable = 0
    for i in range(count):
        _name, _type, flags, _address, _at, size = struct.unpack_from("<6I", elf,
                                                                     offset + i * entry)
        if flags & 2:  # SHF_ALLOC
            if flags & 1:  # SHF_WRITE
                variable += size
            else:
                fixed += size
    return fixed, variable


# Identity -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Identity:
    """Files of a test identity.

    Attributes:
        key: PEM private key.
        slot0: slot structure (length u32, root hash, root and leaf in DER).
        root_der: the root certificate.
        leaf: the leaf certificate.
    """

    key: Path
    slot0: Path
    root_der: bytes
    leaf: x509.Certificate


def make_identity(folder: Path) -> Identity:
    """Writes a P-384 key and a two-level chain for it into `folder`."""
    root_key = ec.generate_private_key(ec.SECP384R1())
    leaf_key = ec.generate_private_key(ec.SECP384R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "native DSM test root")])
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "native DSM")])
    start = datetime.now(UTC) - timedelta(days=1)

    def usage(*, sign: bool, issue: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=sign, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=issue, crl_sign=False,
            encipher_only=False, decipher_only=False)

    def builder(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(root_name)
                .public_key(key).serial_number(x509.random_serial_number())
                .not_valid_before(start).not_valid_after(start + timedelta(days=3650)))

    root = (builder(root_name, root_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(usage(sign=False, issue=True), critical=True)
            .sign(root_key, hashes.SHA384()))
    leaf = (builder(leaf_name, leaf_key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage(sign=True, issue=False), critical=True)
            .sign(root_key, hashes.SHA384()))
    der = serialization.Encoding.DER
    root_der = root.public_bytes(der)
    body = hashlib.sha384(root_der).digest() + root_der + leaf.public_bytes(der)
    key_path, slot_path = folder / "identity.pem", folder / "slot0.bin"
    key_path.write_bytes(leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    slot_path.write_bytes(struct.pack("<I", 4 + len(body)) + body)
    return Identity(key_path, slot_path, root_der, leaf)


# A running one ------------------------------------------------------------------------------


class NativeDsm:
    """A native DSM process and one connection to its socket.

    Use as a context manager. `exchange` carries whole DOE objects.
    """

    def __init__(self, program: Path, identity: Identity, options: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [str(program), "--identity", str(identity.key), "--slot0", str(identity.slot0),
             *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("port "):
            raise RuntimeError(f"the native DSM did not start: {self.stop()}")
        self.port = int(line.split()[1])
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        link = socket.create_connection(("127.0.0.1", self.port), timeout=HELLO_TIMEOUT_S)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def reconnect(self) -> None:
        """Drops the connection and opens another one; the device keeps its state."""
        self._socket.close()
        self._socket = self._connect()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def send_raw(self, data: bytes) -> None:
        """Bytes as they are, for frames that are broken on purpose."""
        self._socket.sendall(data)

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError(f"the native DSM closed the connection ({self.is_running=})")
            data += part
        return data

    def frame(self, command: int, payload: bytes = b"") -> bytes:
        """Sends one frame and returns the payload of the answer."""
        self.send_raw(struct.pack(">III", command, TRANSPORT_PCI_DOE, len(payload)) + payload)
        answer, transport, size = struct.unpack(">III", self._receive(12))
        if (answer, transport) != (command, TRANSPORT_PCI_DOE):
            raise ConnectionError(f"frame {answer:#x} of transport {transport}")
        return self._receive(size)

    def exchange(self, request: bytes) -> bytes:
        """Sends a DOE object; the answer object, or DISCARD (empty)."""
        return self.frame(COMMAND_NORMAL, request)

    def model(self, operation: int, address: int = 0, value: int = 0, enables: int = 15) -> int:
        """One operation on the register model (docs/data_formats.md)."""
        answer = self.frame(COMMAND_MODEL,
                            struct.pack("<IIII", operation, address, value, enables))
        return int(struct.unpack("<I", answer)[0])

    def config_read(self, function: int, offset: int) -> int:
        return self.model(MODEL_CONFIG_READ, function << 16 | offset)

    def config_write(self, function: int, offset: int, value: int, enables: int = 15) -> None:
        self.model(MODEL_CONFIG_WRITE, function << 16 | offset, value, enables)

    def stop(self) -> str:
        """Ends the process and returns what it wrote to stderr."""
        if self.is_running:
            self._process.terminate()
        _out, err = self._process.communicate(timeout=HELLO_TIMEOUT_S)
        return err

    def __enter__(self) -> NativeDsm:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._socket.close()
        died = None if self.is_running else self._process.returncode
        err = self.stop()
        if died is not None and died != 0 and kind is None:
            raise RuntimeError(f"the native DSM ended with {died}\n{err}")


@contextmanager
def running(folder: Path, *, options: Sequence[str] = (), sanitize: bool = False,
            last_session: int = 0xFFFE,
            defines: Sequence[str] = ()) -> Iterator[tuple[NativeDsm, Identity]]:
    """A native DSM with a fresh identity in `folder`."""
    identity = make_identity(folder)
    program = build(sanitize=sanitize, last_session=last_session, defines=defines)
    with NativeDsm(program, identity, options) as dsm:
        yield dsm, identity


def main() -> int:
    """Command line."""
    try:
        if "--sizes" in sys.argv[1:]:
            sizes = rv32_sizes()
            for name, (fixed, variable) in sizes.items():
                print(f"{name:24} {fixed:6} {variable:6}")
            print(f"{'total':24} {sum(s[0] for s in sizes.values()):6}"
                  f" {sum(s[1] for s in sizes.values()):6}")
            return 0
        program = build()
    except MissingToolError as error:
        print(error, file=sys.stderr)
        return 1
    target = OUT / NAME
    fresh = OUT / f"{NAME}.{os.getpid()}"
    fresh.symlink_to(program.relative_to(OUT))
    fresh.rename(target)
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
