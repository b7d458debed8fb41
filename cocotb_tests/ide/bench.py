# SPDX-License-Identifier: Apache-2.0
"""Testbench of the IDE engine: key bus, stream registers, both TLP directions, event monitors."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.handle import ArrayObject, HierarchyArrayObject, HierarchyObject, PackedObject
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer, with_timeout

from cocotb_tests.env import streams
from cocotb_tests.ide.model import CPL, NPR, PR, IdeTlp, Receiver, Sender

SOURCES = [
    "prim/stream_fifo.sv",
    "crypto/aes_sbox.sv", "crypto/aes_round.sv", "crypto/aes_key_expand.sv",
    "crypto/aes_engine.sv", "crypto/ghash_mult.sv", "crypto/gcm_key_store.sv",
    "crypto/gcm_core.sv",
    "ide/ide_bank.sv", "ide/ide_crypt.sv", "ide/ide_rx_check.sv", "ide/ide_rx_counters.sv",
    "ide/ide_cpl_track.sv", "ide/ide_tx_select.sv", "ide/ide_rx.sv", "ide/ide_tx.sv",
    "ide/ide_key_eraser.sv", "ide/ide_streams.sv",
]
WRAPPER = "cocotb_tests/ide/ide_bench.sv"

# Key bus, from the DSM's point of view.
LOAD, COMMIT, GO, STOP, KILL_TAG, ABANDON = range(6)
OK, REFUSED, BAD_INDEX = range(3)
RX, TX = 0, 1

KEY_CMD: streams.Fields = (
    ("op", 3), ("block", 2), ("is_tx", 1), ("sub_stream", 2), ("key_set", 1), ("dw_idx", 3),
    ("data", 32), ("session_tag", 16),
)
BLOCK_CFG: streams.Fields = (
    ("enable", 1), ("is_link", 1), ("stream_id", 8), ("tc", 3), ("default_stream", 1),
    ("tee_limited", 1), ("cfg_enable", 1), ("rid_limit", 16), ("rid_valid", 1), ("rid_base", 16),
    ("addr_valid", 1), ("addr_base", 44), ("addr_limit", 44),
)
AER_MALFORMED, AER_ICF, AER_MISROUTED = 18, 28, 29
REQUESTER_ID = 0x0500
PATIENCE_US = 50   # for the next TLP, many times what the longest one needs
# Bits of ide_bench.counts_o, least significant first.
COUNTS = (
    *(f"icf[{b}]" for b in range(3)), *(f"fail_received[{b}]" for b in range(3)),
    *(f"insecure[{b}]" for b in range(3)),
    "tx_drop", "rx_drop", "own_posted", "fail_send", "kill_tag",
)


class Monitor(streams.StreamMonitor):
    """StreamMonitor that sleeps while valid is low: simulations here are long and mostly quiet."""

    async def _run(self) -> None:
        while True:
            if not int(self.valid.value):
                await RisingEdge(self.valid)
            await RisingEdge(self.clk)
            if int(self.valid.value) and (self.ready is None or int(self.ready.value)):
                item: Any = ({name: int(sig.value) for name, sig in self.data.items()}
                             if isinstance(self.data, dict) else int(self.data.value))
                self.queue.put_nowait(item)
                if self.callback is not None:
                    self.callback(item)


class Driver(streams.StreamDriver):
    """StreamDriver that sleeps while ready is low."""

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
                await ReadOnly()
                if not int(self.ready.value):
                    await RisingEdge(self.ready)
                await RisingEdge(self.clk)
                if int(self.ready.value):
                    break
            self.sent += 1
            self._holding = 0
            if self.queue.empty() or self.pauses is not None:
                await FallingEdge(self.clk)
                self.valid.value = 0


@dataclass
class Partner:
    """The other end of one stream: `send` protects towards the device, `receive` checks it."""

    block: int
    tag: int
    send: Sender
    receive: Receiver
    keys: dict[tuple[int, int, int], bytes] = field(default_factory=dict)


class Bench:
    """Connects drivers and monitors to ide_bench; checks nothing by itself."""

    def __init__(self, dut: Any, *, idle: Iterator[bool] | None = None,
                 stall: Iterator[bool] | None = None) -> None:
        self.dut = dut
        self.rng = random.Random(cocotb.RANDOM_SEED)
        Clock(dut.clk_i, 10, unit="ns").start()
        self.cfg: list[dict[str, int]] = [{}, {}, {"is_link": 1}]
        self._apply()
        for name in ("reconfig_i", "flr0_i", "key_i"):
            getattr(dut, name).value = 0
        dut.requester_id_i.value = REQUESTER_ID
        self.key_drv = Driver(dut.clk_i, dut.key_valid_i, dut.key_ready_o, dut.key_i)
        self.ing = Driver(
            dut.clk_i, dut.ing_valid_i, dut.ing_ready_o,
            {"i": dut.ing_i, "mac": dut.ing_mac_i, "bad": dut.ing_malformed_i}, idle)
        self.tx = Driver(dut.clk_i, dut.tx_valid_i, dut.tx_ready_o, dut.tx_i, idle)
        self.rx = Monitor(dut.clk_i, dut.rx_valid_o, dut.rx_ready_i, dut.rx_o, stall)
        self.eg = Monitor(
            dut.clk_i, dut.eg_valid_o, dut.eg_ready_i,
            {"o": dut.eg_o, "mac": dut.eg_mac_o, "has_mac": dut.eg_mac_valid_o}, stall)
        self.aer_events: list[dict[str, int]] = []
        self.aer = Monitor(
            dut.clk_i, dut.aer_valid_o, dut.aer_ready_i, dut.aer_o,
            callback=lambda v: self.aer_events.append(streams.unpack(streams.AER_EVENT, v)))
        self._counts = [0] * len(COUNTS)

    def events(self) -> dict[str, int]:
        """Pulses counted since the last call, zero counts left out."""
        value = int(self.dut.counts_o.value)
        now = [value >> 16 * i & 0xFFFF for i in range(len(COUNTS))]
        out = {name: n - old for name, n, old in zip(COUNTS, now, self._counts, strict=True)
               if n != old}
        self._counts = now
        return out

    def take_aer(self) -> list[int]:
        """Error numbers reported since the last call."""
        out = [e["error"] for e in self.aer_events]
        self.aer_events.clear()
        return out

    async def cycles(self, n: int) -> None:
        """Let n clock cycles pass."""
        if n > 1:
            await Timer(10 * (n - 1), "ns")
        await RisingEdge(self.dut.clk_i)

    async def start(self) -> None:
        """Reset and wait until the engines have cleared their memories."""
        await streams.reset(self.dut.clk_i, self.dut.rst_i)
        await self.cycles(330)

    # ---- Registers ----

    def _apply(self) -> None:
        value = 0
        for cfg in reversed(self.cfg):
            value = value << 138 | streams.pack(BLOCK_CFG, **cfg)
        self.dut.block_cfg_i.value = value

    async def configure(self, block: int, **fields: int) -> None:
        """Write fields of one stream block's registers; they take effect in the next cycle."""
        self.cfg[block].update(fields)
        await FallingEdge(self.dut.clk_i)
        self._apply()

    async def pulse(self, name: str, value: int = 1) -> None:
        """Raise an event input for one cycle."""
        await FallingEdge(self.dut.clk_i)
        getattr(self.dut, name).value = value
        await FallingEdge(self.dut.clk_i)
        getattr(self.dut, name).value = 0

    def secure(self) -> list[int]:
        """secure_o as a list by block."""
        value = int(self.dut.secure_o.value)
        return [value >> b & 1 for b in range(3)]

    def tags(self) -> list[int]:
        """stream_tag_o as a list by block."""
        value = int(self.dut.stream_tag_o.value)
        return [value >> 16 * b & 0xFFFF for b in range(3)]

    # ---- Key bus ----

    async def key(self, op: int, **fields: int) -> int:
        """One key bus command; returns its status."""
        self.key_drv.put(streams.pack(KEY_CMD, op=op, **fields))
        await RisingEdge(self.dut.key_status_valid_o)
        await FallingEdge(self.dut.clk_i)
        status = int(self.dut.key_status_o.value)
        self.dut.key_i.value = 0
        return status

    async def load(self, block: int, is_tx: int, sub: int, key_set: int, key: bytes,
                   tag: int) -> int:
        """All eight DWs of a key; returns the worst status."""
        worst = OK
        for i in range(8):
            worst = max(worst, await self.key(
                LOAD, block=block, is_tx=is_tx, sub_stream=sub, key_set=key_set, dw_idx=i,
                data=int.from_bytes(key[4 * i:4 * i + 4], "big"), session_tag=tag))
        return worst

    async def program(self, block: int, is_tx: int, sub: int, key_set: int, key: bytes,
                      tag: int) -> int:
        """Load and commit a key; returns the worst status."""
        status = await self.load(block, is_tx, sub, key_set, key, tag)
        return max(status, await self.key(COMMIT, block=block, is_tx=is_tx, sub_stream=sub,
                                          key_set=key_set, session_tag=tag))

    async def go(self, block: int, is_tx: int, sub: int, key_set: int, tag: int) -> int:
        """K_SET_GO of one key."""
        return await self.key(GO, block=block, is_tx=is_tx, sub_stream=sub, key_set=key_set,
                              session_tag=tag)

    async def stop(self, block: int, is_tx: int, sub: int, key_set: int, tag: int) -> int:
        """K_SET_STOP of one key."""
        return await self.key(STOP, block=block, is_tx=is_tx, sub_stream=sub, key_set=key_set,
                              session_tag=tag)

    async def key_all(self, partner: Partner, key_set: int,
                      keys: dict[tuple[int, int], bytes] | None = None) -> None:
        """Program the six keys of one set (random ones by default) on both ends."""
        for is_tx in (RX, TX):
            for sub in (PR, NPR, CPL):
                key = (keys or {}).get((is_tx, sub)) or self.rng.randbytes(32)
                status = await self.program(partner.block, is_tx, sub, key_set, key, partner.tag)
                assert status == OK
                partner.keys[is_tx, sub, key_set] = key
                end = partner.receive if is_tx else partner.send
                end.keys[sub, key_set] = key

    async def go_all(self, partner: Partner, key_set: int, directions: tuple[int, ...] = (RX, TX),
                     ) -> None:
        """K_SET_GO of one set, receive direction first."""
        for is_tx in directions:
            for sub in (PR, NPR, CPL):
                assert await self.go(partner.block, is_tx, sub, key_set, partner.tag) == OK

    async def bring_up(self, block: int, stream_id: int, tag: int = 0x0101, key_set: int = 0,
                       keys: dict[tuple[int, int], bytes] | None = None,
                       **cfg: int) -> Partner:
        """Key, GO and enable one stream; returns its partner port."""
        partner = Partner(block, tag, Sender(stream_id, key_set=[key_set] * 3),
                          Receiver(stream_id, key_set=[key_set] * 3))
        fields = {"stream_id": stream_id, "rid_base": 0x0100, "rid_limit": 0x0100, **cfg}
        await self.configure(block, enable=0, **fields)
        await self.key_all(partner, key_set, keys)
        await self.go_all(partner, key_set)
        await self.configure(block, enable=1)
        await self.cycles(1)
        assert self.secure()[block] == 1, "stream is not Secure with six GO'd keys and Enable"
        assert self.tags()[block] == tag
        return partner

    # ---- TLPs ----

    def receive(self, tlp: IdeTlp | None = None, *, header: bytes = b"", payload: bytes = b"",
                prefix: bytes | None = None, malformed: bool = False) -> None:
        """Queue a TLP towards the device: a protected one, or a plain header and payload, with an
        End-End prefix that is not IDE if one is given."""
        if tlp is not None:
            beats = streams.tlp_to_beats(tlp.header, tlp.body, prefix=tlp.prefix, ide=1,
                                         t_bit=tlp.prefix[3] & 1, stream_id=tlp.prefix[2])
            mac = int.from_bytes(tlp.mac, "big")
        else:
            beats = streams.tlp_to_beats(header, payload, prefix=prefix)
            mac = 0
        for i, beat in enumerate(beats):
            last = i == len(beats) - 1
            self.ing.put({"i": beat, "mac": mac if last else 0, "bad": int(malformed and last)})

    async def delivered(self) -> tuple[bytes, bytes, dict[str, int]]:
        """The next TLP out of ide_rx: (header, payload, fields of the first beat)."""
        beats = await with_timeout(self.rx.get_packet(
            lambda v: streams.unpack(streams.TLP_BEAT, v)["eop"] == 1), PATIENCE_US, "us")
        return streams.beats_to_tlp(beats)

    def send(self, header: bytes, payload: bytes = b"", **meta: int) -> None:
        """Queue a TLP from inside the device."""
        self.tx.put_all(streams.tlp_to_beats(header, payload, **meta))

    async def emitted(self) -> IdeTlp:
        """The next TLP towards the link; prefix and MAC are empty if it is plain."""
        beats = await with_timeout(self.eg.get_packet(
            lambda v: streams.unpack(streams.TLP_BEAT, v["o"])["eop"] == 1), PATIENCE_US, "us")
        header, body, first = streams.beats_to_tlp([b["o"] for b in beats])
        assert beats[-1]["has_mac"] == first["prefix_valid"]
        assert all(b["has_mac"] == 0 for b in beats[:-1])
        if not first["prefix_valid"]:
            return IdeTlp(b"", header, body, b"")
        return IdeTlp(first["prefix"].to_bytes(4, "big"), header, body,
                      beats[-1]["mac"].to_bytes(12, "big"))

    def silent(self) -> bool:
        """Nothing came out of the device in either direction that was not fetched."""
        return self.rx.queue.empty() and self.eg.queue.empty()

    # ---- Secrets ----

    def find(self, secret: bytes) -> list[str]:
        """Names of all state in the design that holds either 16-byte half of a key."""
        halves = [int.from_bytes(secret[i:i + 16], "big") for i in (0, 16)]
        found: list[str] = []

        def holds(value: int) -> bool:
            while value:
                if value & ((1 << 128) - 1) in halves:
                    return True
                value >>= 8
            return False

        def walk(handle: Any, name: str) -> None:
            if isinstance(handle, PackedObject):
                if len(handle) >= 128 and holds(int(handle.value)):
                    found.append(name)
            elif isinstance(handle, (HierarchyObject, HierarchyArrayObject, ArrayObject)):
                for child in handle:
                    walk(child, child._path)

        walk(self.dut, "dut")
        return found

    def schedules_left(self, block: int) -> int:
        """RAM rows (round keys and H, 16 a slot) of one block's slots that are not zero."""
        left = 0
        for side in (self.dut.u_rx, self.dut.u_tx):
            memory = side.u_crypt.u_gcm.u_keys.mem_q
            left += sum(int(memory[row].value) != 0 for row in range(96 * block, 96 * block + 96))
        return left
