# SPDX-License-Identifier: Apache-2.0
"""Valid/ready drivers and monitors for the one handshake of the design.

A driver never checks, a monitor never drives. Payloads are integers; `pack`/`unpack` turn packed
structs of the packages into integers and back by a field list that mirrors the SystemVerilog text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

Fields = Sequence[tuple[str, int]]

# Field lists, most significant first, as in rtl/pkg/pcie_pkg.sv.
WIRE_BEAT: Fields = (("last", 1), ("dws", 3), ("data", 128))
META: Fields = (
    ("ide", 1), ("t_bit", 1), ("associate", 1), ("block", 2), ("stream_id", 8), ("tdi_idx", 8),
)
TLP_BEAT: Fields = (
    ("sop", 1), ("eop", 1), ("dw_valid", 4), ("data", 128), ("header", 128),
    ("prefix_valid", 1), ("prefix", 32), *META,
)
AER_EVENT: Fields = (
    ("error", 5), ("all_funcs", 1), ("func", 3), ("advisory", 1), ("log_header", 1),
    ("header", 128), ("prefix_valid", 1), ("prefix", 32),
)


def pack(fields: Fields, **values: int) -> int:
    """Pack named field values (missing ones are 0) into one integer."""
    out = 0
    for name, width in fields:
        value = values.pop(name, 0)
        if value >> width:
            raise ValueError(f"{name}={value:#x} does not fit {width} bits")
        out = (out << width) | value
    if values:
        raise ValueError(f"unknown fields {sorted(values)}")
    return out


def unpack(fields: Fields, value: int) -> dict[str, int]:
    """Split an integer into named fields."""
    out: dict[str, int] = {}
    for name, width in reversed(fields):
        out[name] = value & ((1 << width) - 1)
        value >>= width
    return out


def tlp_to_beats(header: bytes, payload: bytes = b"", *, prefix: bytes | None = None,
                 **meta: int) -> list[int]:
    """Cut a TLP into tlp_beat_t integers. header: 12 or 16 bytes, payload: multiple of 4."""
    head = int.from_bytes(header.ljust(16, b"\0"), "big")
    extra = {"prefix_valid": int(prefix is not None),
             "prefix": int.from_bytes(prefix or b"", "big")}
    beats = []
    chunks = [payload[i:i + 16] for i in range(0, len(payload), 16)] or [b""]
    for i, chunk in enumerate(chunks):
        dws = len(chunk) // 4
        beats.append(pack(
            TLP_BEAT, sop=int(i == 0), eop=int(i == len(chunks) - 1),
            dw_valid=(0xF << (4 - dws)) & 0xF, data=int.from_bytes(chunk.ljust(16, b"\0"), "big"),
            header=head, **extra, **meta))
    return beats


def beats_to_tlp(beats: Sequence[int]) -> tuple[bytes, bytes, dict[str, int]]:
    """Join tlp_beat_t integers of one TLP into (header, payload, fields of the sop beat)."""
    first = unpack(TLP_BEAT, beats[0])
    assert first["sop"] == 1, "TLP does not begin with sop"
    header = first["header"].to_bytes(16, "big")
    header = header if header[0] & 0x20 else header[:12]
    payload = b""
    for i, beat in enumerate(beats):
        f = unpack(TLP_BEAT, beat)
        assert f["eop"] == int(i == len(beats) - 1), "eop in the wrong beat"
        dws = f["dw_valid"].bit_count()
        assert f["dw_valid"] == (0xF << (4 - dws)) & 0xF, "dw_valid is not left-justified"
        payload += f["data"].to_bytes(16, "big")[:4 * dws]
    return header, payload, first


def bytes_to_wire(tlp: bytes) -> list[int]:
    """Cut the bytes of a TLP (prefix, header, payload, MAC) into wire_beat_t integers."""
    chunks = [tlp[i:i + 16] for i in range(0, len(tlp), 16)]
    return [pack(WIRE_BEAT, last=int(i == len(chunks) - 1), dws=len(c) // 4,
                 data=int.from_bytes(c.ljust(16, b"\0"), "big")) for i, c in enumerate(chunks)]


def wire_to_bytes(beats: Sequence[int]) -> bytes:
    """Join wire_beat_t integers of one TLP into its bytes."""
    out = b""
    for beat in beats:
        f = unpack(WIRE_BEAT, beat)
        out += f["data"].to_bytes(16, "big")[:4 * f["dws"]]
    return out


def cycle_pauses(pattern: Sequence[int]) -> Iterator[bool]:
    """Repeat a pattern of 1 = pause, 0 = go for ever."""
    while True:
        for bit in pattern:
            yield bool(bit)


def random_pauses(seed: int, probability: float) -> Iterator[bool]:
    """Pause with a given probability, repeatably."""
    rng = random.Random(seed)
    while True:
        yield rng.random() < probability


class StreamDriver:
    """Drives a stream, obeying its ready. Signals change at falling edges."""

    def __init__(self, clk: Any, valid: Any, ready: Any, data: Any | dict[str, Any],
                 pauses: Iterator[bool] | None = None) -> None:
        self.clk, self.valid, self.ready, self.data = clk, valid, ready, data
        self.pauses = pauses
        self.queue: Queue[Any] = Queue()
        self.sent = 0
        valid.value = 0
        self._task = cocotb.start_soon(self._run())

    def put(self, item: Any) -> None:
        """Queue one payload (an int, or a dict of signal name to int)."""
        self.queue.put_nowait(item)

    def put_all(self, items: Sequence[Any]) -> None:
        for item in items:
            self.put(item)

    async def drain(self) -> None:
        """Wait until everything queued has been taken."""
        target = self.sent + self.queue.qsize() + getattr(self, "_holding", 0)
        while self.sent < target:
            await RisingEdge(self.clk)

    async def _run(self) -> None:
        while True:
            self._holding = 0
            item = await self.queue.get()
            self._holding = 1
            await FallingEdge(self.clk)
            while self.pauses is not None and next(self.pauses):
                await FallingEdge(self.clk)
            if isinstance(self.data, dict):
                for name, value in item.items():
                    self.data[name].value = value
            else:
                self.data.value = item
            self.valid.value = 1
            while True:
                await RisingEdge(self.clk)
                if self.ready is None or int(self.ready.value):
                    break
            self.sent += 1
            self._holding = 0
            if self.queue.empty() or self.pauses is not None:
                await FallingEdge(self.clk)
                self.valid.value = 0


class StreamMonitor:
    """Samples a stream at rising edges and drives backpressure if it may."""

    def __init__(self, clk: Any, valid: Any, ready: Any, data: Any | dict[str, Any],
                 pauses: Iterator[bool] | None = None, drive_ready: bool = True,
                 callback: Callable[[Any], None] | None = None) -> None:
        self.clk, self.valid, self.ready, self.data = clk, valid, ready, data
        self.pauses, self.callback = pauses, callback
        self.queue: Queue[Any] = Queue()
        self.drive_ready = drive_ready and ready is not None
        if self.drive_ready:
            ready.value = 0 if pauses is not None else 1
            if pauses is not None:
                cocotb.start_soon(self._ready())
        self._task = cocotb.start_soon(self._run())

    async def get(self) -> Any:
        """Wait for the next payload."""
        return await self.queue.get()

    async def get_packet(self, is_last: Callable[[Any], bool]) -> list[Any]:
        """Collect payloads up to and including the one for which is_last holds."""
        out = [await self.queue.get()]
        while not is_last(out[-1]):
            out.append(await self.queue.get())
        return out

    async def _ready(self) -> None:
        assert self.pauses is not None
        while True:
            await FallingEdge(self.clk)
            self.ready.value = 0 if next(self.pauses) else 1

    async def _run(self) -> None:
        while True:
            await RisingEdge(self.clk)
            if int(self.valid.value) and (self.ready is None or int(self.ready.value)):
                if isinstance(self.data, dict):
                    item: Any = {name: int(sig.value) for name, sig in self.data.items()}
                else:
                    item = int(self.data.value)
                self.queue.put_nowait(item)
                if self.callback is not None:
                    self.callback(item)


async def reset(clk: Any, rst: Any, cycles: int = 4) -> None:
    """Hold a synchronous active-high reset for some cycles."""
    rst.value = 1
    for _ in range(cycles):
        await RisingEdge(clk)
    await FallingEdge(clk)
    rst.value = 0
    await ReadOnly()
    await RisingEdge(clk)
