# SPDX-License-Identifier: Apache-2.0
"""The native DSM for tests: started with a fresh identity, spoken to over its socket.

`NativeDsm` runs the program and carries DOE objects, `make_identity` writes a key and a certificate
slot for it; how it is built stands in `sim/native.py`.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import subprocess
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

from sim.native import (
    FIRMWARE,
    NAME,
    OUT,
    SANITIZERS,
    WARNINGS,
    MissingToolError,
    build,
    compiler,
    firmware_sources,
    rv32_sizes,
)

__all__ = ["FIRMWARE", "NAME", "OUT", "SANITIZERS", "WARNINGS", "MissingToolError", "build",
           "compiler", "firmware_sources", "rv32_sizes"]

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
