# SPDX-License-Identifier: Apache-2.0
"""The native DSM as a process of ours: built, started, spoken to over its socket, ended.

It is the firmware with a model of registers and TDIs instead of hardware (docs/data_formats.md,
"Native DSM: socket"). Its key is that of the lab, its images are those of the virtual board.
"""

from __future__ import annotations

import struct
import subprocess
from enum import IntEnum
from typing import Final

from teeio.board import Images, native_program
from teeio.errors import LocalError, TransportError
from teeio.transports.emulator import EmulatorClient
from teeio.wire.emulator import Frame

COMMAND_MODEL: Final = 0x5445_4501
MAX_OBJECT: Final = 0x1208
STOP_SECONDS: Final = 5.0
_ALL_BYTES: Final = 0xF


class ModelOp(IntEnum):
    """Operation of a model frame."""

    CONFIG_READ = 0
    CONFIG_WRITE = 1
    RESET = 5


class NativeProcess:
    """One native DSM and the connection to it.

    Args:
        images: identity, certificate slot and measured images.
        seed: text of a fixed seed; None takes the system's random numbers.

    Raises:
        LocalError: it cannot be built, or does not start.
    """

    def __init__(self, images: Images, *, seed: str | None = None) -> None:
        program = native_program()
        command = [str(program), "--watch-stdin",
                   "--identity", str(images.identity.with_suffix(".pem")),
                   "--slot0", str(images.slot0.with_suffix(".bin")),
                   "--rom", str(images.boot_bin), "--firmware", str(images.firmware_bin)]
        if seed is not None:
            command += ["--seed", seed]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True, start_new_session=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            if not line.startswith("port "):
                raise LocalError(f"{program} did not start: run it by hand to see why")
            self.port = int(line.split()[1])
            self._client = EmulatorClient("127.0.0.1", self.port,
                                          commands=frozenset({COMMAND_MODEL}))
        except BaseException:
            self._end()
            raise

    @property
    def pid(self) -> int:
        """Process number."""
        return self._process.pid

    @property
    def is_lost(self) -> bool:
        """It does not answer any more."""
        return self._client.is_lost

    def exchange(self, request: bytes) -> bytes:
        """Carries a DOE object.

        Raises:
            TransportError: the process is gone, or dropped the object.
        """
        if len(request) > MAX_OBJECT:
            raise TransportError(f"an object of {len(request)} bytes does not fit the mailbox"
                                 f" ({MAX_OBJECT}): send less")
        return self._client.exchange(request)

    def model(self, op: ModelOp, address: int = 0, value: int = 0) -> int:
        """One operation on the register model."""
        words = struct.pack("<4I", op, address, value, _ALL_BYTES)
        return int.from_bytes(self._client.frame(Frame(COMMAND_MODEL, words)), "little")

    def close(self) -> None:
        """Ends the process and waits for it."""
        self._client.close()
        self._end()

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
