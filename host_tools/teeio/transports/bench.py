# SPDX-License-Identifier: Apache-2.0
"""Bench link over any pyserial URL: a UART, a pty, or the TCP port of a virtual board.

One write per batch of frames; the host always drains. Device time rules protocol timeouts: a wait
for TLPs ends when the device has counted its cycles (a DELAY control operation), and a wall-clock
watchdog only guards against a link that is dead altogether.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import serial

from teeio.core.port_steps import (
    LinkControl,
    LinkEffect,
    LinkReceive,
    LinkResult,
    LinkSend,
    LinkSteps,
)
from teeio.errors import TransportError
from teeio.wire.link import BenchLink, ControlOp, ControlReceived, Synced, TlpReceived

T = TypeVar("T")

# Without any byte for this long the link repeats what is unacknowledged and asks for what is due.
RETRY_SECONDS = 0.25
# A TLP that was not answered at once is waited for in device cycles after this pause.
EAGER_SECONDS = 0.002
FIRST_SLICE_CYCLES = 400
LAST_SLICE_CYCLES = 48_000
WATCHDOG_SECONDS = 60.0


class BenchTransport:
    """Blocking transport of link effects.

    Args:
        url: anything `serial.serial_for_url` opens: ``socket://host:port``, ``/dev/ttyUSB0``,
            ``serial:///dev/ttyUSB0?baud=3000000``.
        tap: called with (direction, bytes) for all raw bytes; direction is "tx" or "rx".
        tlp_tap: called with (direction, TLP bytes) for each TLP, in order.
        watchdog: seconds of wall clock without progress before giving up.

    Raises:
        TransportError: the port cannot be opened, or nothing answers on it.
    """

    def __init__(
        self,
        url: str,
        *,
        tap: Callable[[str, bytes], None] | None = None,
        tlp_tap: Callable[[str, bytes], None] | None = None,
        watchdog: float = WATCHDOG_SECONDS,
    ) -> None:
        self.url = url
        self.is_lost = False
        """The port failed; only a new transport can reach the board again."""
        self._tap = tap
        self._tlp_tap = tlp_tap
        self._watchdog = watchdog
        self._link = BenchLink()
        self._inbox: deque[bytes] = deque()
        self._controls: deque[ControlReceived] = deque()
        self._port = _open(url)
        self.connect()

    @property
    def link(self) -> BenchLink:
        """The link state, for its counters."""
        return self._link

    def connect(self) -> None:
        """(Re)start the link: both sides begin from sequence number 0."""
        self._inbox.clear()
        self._controls.clear()
        self._link.start(os.urandom(4))
        self._until(lambda: self._link.synced, "no device answers on the bench link")

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def run(self, steps: LinkSteps[T]) -> T:
        """Drive a generator of link effects to its end."""
        try:
            effect = next(steps)
            while True:
                try:
                    result = self.do(effect)
                except TransportError as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def do(self, effect: LinkEffect) -> LinkResult:
        """Perform one link effect."""
        match effect:
            case LinkSend(tlps):
                for tlp in tlps:
                    if self._tlp_tap is not None:
                        self._tlp_tap("tx", tlp)
                    self._link.send_tlp(tlp)
                self._flush()
                return None
            case LinkReceive(cycles):
                return self._receive(cycles)
            case LinkControl(op, arg):
                return self._control(op, arg)

    # ---- internals -------------------------------------------------------------------------------
    def _receive(self, cycles: int) -> tuple[bytes, ...]:
        deadline = time.monotonic() + EAGER_SECONDS
        while not self._inbox and time.monotonic() < deadline:
            self._poll(EAGER_SECONDS)
        step = FIRST_SLICE_CYCLES
        while not self._inbox and cycles > 0:
            # Let the device count, in growing slices: what has not come before the last answer
            # does not come, an answer on its way costs little, a slow simulation shows progress.
            step = min(cycles, step, LAST_SLICE_CYCLES)
            cycles -= step
            self._link.send_control(ControlOp.DELAY, step)
            self._flush()
            self._until(lambda: bool(self._controls), "the device stopped answering")
            self._controls.popleft()
            step *= 2
        got = tuple(self._inbox)
        self._inbox.clear()
        return got

    def _control(self, op: ControlOp, arg: int) -> tuple[int, int, int]:
        self._link.send_control(op, arg)
        self._flush()
        self._until(lambda: bool(self._controls), f"no answer to bench control {op.name}")
        answer = self._controls.popleft()
        if answer.op != op or answer.status != 0:
            raise TransportError(f"bench control {op.name} refused (status {answer.status:#x}):"
                                 " the bitstream is older than this host, rebuild it")
        return answer.args

    def _until(self, done: Callable[[], bool], what: str) -> None:
        last_progress = time.monotonic()
        last_retry = last_progress
        while not done():
            now = time.monotonic()
            if self._poll(0.05):
                last_progress = last_retry = now
            elif now - last_progress > self._watchdog:
                raise TransportError(f"{self.url}: {what} within {self._watchdog:.0f} s;"
                                     " is the board powered, is the baud rate right, does"
                                     " another program hold the link?")
            elif now - last_retry > RETRY_SECONDS:
                # Also with nothing unacknowledged: the frame we wait for may be lost, and our NAK
                # with it; a board whose clock stops when idle repeats nothing by itself.
                last_retry = now
                self._link.on_timeout()
                self._flush()

    def _flush(self) -> None:
        out = self._link.take_output()
        if not out:
            return
        if self._tap is not None:
            self._tap("tx", out)
        try:
            self._port.write(out)
        except (OSError, serial.SerialException) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> TransportError:
        self.is_lost = True
        return TransportError(f"{self.url}: the link was lost ({error}): check the board")

    def _poll(self, timeout: float) -> bool:
        """Read what is there, waiting at most `timeout` seconds; True if anything came."""
        self._port.timeout = timeout
        try:
            data = self._port.read(1)
            if data:
                data += _read_available(self._port)
        except (OSError, serial.SerialException) as error:
            raise self._lost(error) from error
        if not data:
            return False
        if self._tap is not None:
            self._tap("rx", data)
        for event in self._link.receive(data):
            match event:
                case TlpReceived(tlp):
                    if self._tlp_tap is not None:
                        self._tlp_tap("rx", tlp)
                    self._inbox.append(tlp)
                case ControlReceived():
                    self._controls.append(event)
                case Synced():
                    pass
        self._flush()
        return True


def _open(url: str) -> serial.Serial:
    target, baud = url, 3_000_000
    if url.startswith("serial://"):
        target, _, query = url.removeprefix("serial://").partition("?")
        for item in filter(None, query.split("&")):
            name, _, value = item.partition("=")
            if name != "baud" or not value.isdigit():
                raise TransportError(f"{url}: unknown option {item!r}; known: baud=N")
            baud = int(value)
    try:
        port = serial.serial_for_url(target, baudrate=baud, timeout=0.05, write_timeout=10)
    except (OSError, ValueError, serial.SerialException) as error:
        raise TransportError(f"{url}: cannot open ({error}): check that the board runs"
                             ) from error
    raw = getattr(port, "_socket", None)
    if raw is not None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return port


def _read_available(port: serial.Serial) -> bytes:
    raw = getattr(port, "_socket", None)
    if raw is None:
        waiting = port.in_waiting
        return bytes(port.read(waiting)) if waiting else b""
    # pyserial's socket handler knows only whether anything waits; take it in one call.
    out = b""
    raw.setblocking(False)
    try:
        while chunk := raw.recv(65536):
            out += chunk
    except BlockingIOError:
        pass
    return out
