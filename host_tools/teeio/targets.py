# SPDX-License-Identifier: Apache-2.0
"""Targets: what a URL leads to, and what it can carry.

    native:                   the firmware as a process of ours        doe config reset
    spdm-emu://host:port      any responder behind that socket         doe
    anything else             a board on a bench link                  doe config mmio dma ide reset

`Target.run` drives a program of operations; an operation that the target does not carry is refused
with one line, thrown into the program at the place that asked for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlsplit

from teeio.board import prepare_images
from teeio.core import capabilities
from teeio.core.capabilities import Capabilities
from teeio.core.doe_mailbox import DoeMailbox
from teeio.core.drive import run
from teeio.core.memory import HostMemory
from teeio.core.ops import (
    Batch,
    CfgRead,
    CfgWrite,
    DoeExchange,
    Op,
    OpResult,
    Steps,
    WaitCycles,
)
from teeio.core.port_steps import control
from teeio.core.rootport import RootPort
from teeio.core.spdm_flow import CYCLES_PER_US
from teeio.dispatch import Dispatcher
from teeio.errors import LocalError
from teeio.transports.bench import BenchTransport
from teeio.transports.emulator import ANSWER_SECONDS, EmulatorClient
from teeio.transports.native import ModelOp, NativeProcess
from teeio.wire.emulator import DEFAULT_PORT, Command
from teeio.wire.link import ControlOp

T = TypeVar("T")
OnObject = Callable[[bool, bytes], None]

NATIVE: Final = "native:"
EMULATOR: Final = "spdm-emu"
NATIVE_BUS: Final = 1


class Target(Protocol):
    """A device, a board, or a responder."""

    @property
    def url(self) -> str:
        """What it was opened with."""

    @property
    def capabilities(self) -> Capabilities:
        """What it carries."""

    @property
    def is_lost(self) -> bool:
        """Nothing answers any more: open it anew."""

    def run(self, steps: Steps[T]) -> T:
        """Drives a program to its end."""

    def reset(self) -> None:
        """Conventional reset.

        Raises:
            LocalError: the target does not carry it.
        """

    def use_mailbox(self, mailbox: DoeMailbox) -> None:
        """Says where the DOE mailbox is; of no concern where objects go as such."""

    def close(self) -> None:
        """Ends what was opened."""


def capabilities_of(url: str) -> Capabilities:
    """What the target of a URL carries, without opening it."""
    if url == NATIVE:
        return capabilities.NATIVE
    if urlsplit(url).scheme == EMULATOR:
        return capabilities.MESSAGES
    return capabilities.BOARD


def open_target(url: str, on_object: OnObject | None = None) -> Target:
    """Opens a target.

    Args:
        on_object: called with (is_request, bytes) for each DOE object.

    Raises:
        LocalError: the URL is malformed, or what it needs cannot be built.
        TransportError: nothing answers there.
    """
    if url == NATIVE:
        return NativeTarget(on_object)
    if urlsplit(url).scheme == EMULATOR:
        return EmulatorTarget(parse_emulator_url(url), on_object)
    return BoardTarget(url, on_object)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorUrl:
    """``spdm-emu://host:port?interface=0x0101&port_index=0&stream=0&timeout=30&end=continue``.

    Attributes:
        interface: FUNCTION_ID for TDISP.
        port_index: of IDE_KM.
        stream: Stream ID.
        timeout: seconds for one answer.
        shutdown: end the responder at the end, instead of letting it go on.
    """

    url: str
    host: str
    port: int
    interface: int = 0x0101
    port_index: int = 0
    stream: int = 0
    timeout: float = ANSWER_SECONDS
    shutdown: bool = False


def parse_emulator_url(url: str) -> EmulatorUrl:
    """Reads an ``spdm-emu://`` URL.

    Raises:
        LocalError: naming what is wrong.
    """
    try:
        parts: SplitResult = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        if parts.scheme != EMULATOR or not host or parts.path not in ("", "/"):
            raise ValueError("it is spdm-emu://host:port")
        end = options.pop("end", "continue")
        if end not in ("continue", "shutdown"):
            raise ValueError("end is continue or shutdown")
        timeout = float(options.pop("timeout", ANSWER_SECONDS))
        if not 0 < timeout <= 3600:
            raise ValueError("timeout is 0 to 3600 s")
        numbers: dict[str, int] = {}
        for name, limit in (("interface", 1 << 25), ("port_index", 1 << 8), ("stream", 1 << 8)):
            if name in options:
                numbers[name] = int(options.pop(name), 0)
                if not 0 <= numbers[name] < limit:
                    raise ValueError(f"{name} is below {limit:#x}")
        if options:
            raise ValueError(f"unknown option {next(iter(options))!r}; known: interface,"
                             " port_index, stream, timeout, end")
    except ValueError as error:
        raise LocalError(f"{url}: {error}") from None
    return EmulatorUrl(url=url, host=host, port=port, timeout=timeout,
                       shutdown=end == "shutdown", **numbers)


class _MessageTarget:
    """What native process and foreign responder share."""

    def __init__(self, url: str, carries: Capabilities, on_object: OnObject | None) -> None:
        self.url = url
        self.capabilities = carries
        self._on_object = on_object

    def run(self, steps: Steps[T]) -> T:
        return run(steps, self._perform)

    def use_mailbox(self, mailbox: DoeMailbox) -> None:
        """Objects go as such."""

    def _perform(self, op: Op) -> OpResult:
        self.capabilities.require_op(self.url, op)
        match op:
            case DoeExchange(request):
                if self._on_object is not None:
                    self._on_object(True, request)
                answer = self._exchange(request)
                if self._on_object is not None:
                    self._on_object(False, answer)
                return answer
            case WaitCycles(cycles):
                time.sleep(cycles / (CYCLES_PER_US * 1_000_000))
                return None
            case Batch(ops):
                return tuple(self._register(one) for one in ops)
        return self._register(op)

    def _exchange(self, request: bytes) -> bytes:
        raise NotImplementedError

    def _register(self, op: Op) -> OpResult:
        raise NotImplementedError


def _register(bdf: int, offset: int) -> int:
    """Address of a register of the model, which does not capture bus numbers.

    Raises:
        LocalError: another bus or device than its own.
    """
    if bdf >> 3 != NATIVE_BUS << 5:
        raise LocalError(f"{NATIVE} is device 0 of bus {NATIVE_BUS}: leave out --bus")
    return (bdf & 7) << 16 | offset


class NativeTarget(_MessageTarget):
    """`native:`. The process lives as long as this object."""

    def __init__(self, on_object: OnObject | None = None) -> None:
        super().__init__(NATIVE, capabilities.NATIVE, on_object)
        self.process = NativeProcess(prepare_images())

    @property
    def is_lost(self) -> bool:
        return self.process.is_lost

    def _exchange(self, request: bytes) -> bytes:
        return self.process.exchange(request)

    def _register(self, op: Op) -> OpResult:
        match op:
            case CfgRead(bdf, offset):
                return self.process.model(ModelOp.CONFIG_READ, _register(bdf, offset))
            case CfgWrite(bdf, offset, value):
                self.process.model(ModelOp.CONFIG_WRITE, _register(bdf, offset), value)
                return None
        raise LocalError(f"{self.url} has no {type(op).__name__}")

    def reset(self) -> None:
        """Conventional reset of model and firmware."""
        self.process.model(ModelOp.RESET)

    def close(self) -> None:
        """Ends the process."""
        self.process.close()


class EmulatorTarget(_MessageTarget):
    """`spdm-emu://`."""

    def __init__(self, where: EmulatorUrl, on_object: OnObject | None = None) -> None:
        super().__init__(where.url, capabilities.MESSAGES, on_object)
        self.where = where
        self._client = EmulatorClient(where.host, where.port, answer_seconds=where.timeout)

    @property
    def is_lost(self) -> bool:
        return self._client.is_lost

    def _exchange(self, request: bytes) -> bytes:
        return self._client.exchange(request)

    def _register(self, op: Op) -> OpResult:
        raise LocalError(f"{self.url} has no {type(op).__name__}")

    def reset(self) -> None:
        """Not carried."""
        self.capabilities.require(self.url, "reset")

    def close(self) -> None:
        """Takes leave of the responder."""
        self._client.end(Command.SHUTDOWN if self.where.shutdown else Command.CONTINUE)


class BoardTarget:
    """A board on a bench link, without a TSM."""

    def __init__(self, url: str, on_object: OnObject | None = None) -> None:
        self.url = url
        self.capabilities = capabilities.BOARD
        self._port = RootPort(HostMemory())
        self._port.max_payload = 256
        self._mailbox: DoeMailbox | None = None
        self._dispatcher = Dispatcher(self._port, lambda: self._mailbox, on_object=on_object)
        self._transport = BenchTransport(url)

    @property
    def is_lost(self) -> bool:
        return self._transport.is_lost

    def run(self, steps: Steps[T]) -> T:
        return self._transport.run(self._dispatcher.steps(steps))

    def use_mailbox(self, mailbox: DoeMailbox) -> None:
        """Objects go through this mailbox from now on."""
        self._mailbox = mailbox

    def set_tamper(self, attack: Callable[[bytes], list[bytes]] | None) -> None:
        """Puts an attack on the link, see `Dispatcher.tamper`; None ends it."""
        self._dispatcher.tamper = attack

    def reset(self) -> None:
        """Conventional reset of the endpoint."""
        self._transport.run(control(ControlOp.RESET))
        self._port.reset()

    def close(self) -> None:
        """Closes the link."""
        self._transport.close()
