# SPDX-License-Identifier: Apache-2.0
"""The main job on the whole endpoint, by the project's own host, with a look inside.

The TSM, the root port, the dispatcher and the driver are those of the command line; only the
transport differs. Secrets are taken from the host, which knows them, and looked for in every
register and memory of the device: while they are in use they have to be where they belong and
nowhere else, and afterwards nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cocotb
import pytest

from cocotb_tests.crypto.aes_model import encrypt_block, round_keys
from cocotb_tests.env.dump import Walker, find
from cocotb_tests.env.endpoint import EndpointBench, SimHost, repeatable_rng
from cocotb_tests.system.simulation import simulate_system
from teeio.board import prepare_images
from teeio.core.device import CONTROL_PAGE, WORK_MEMORY, Descriptor, FunctionDriver
from teeio.core.memory import MSI_BASE
from teeio.core.ops import mem_read, mem_write
from teeio.core.port_steps import CompletionStatus
from teeio.core.rootport import EventKind
from teeio.wire import tlp as t
from teeio.wire.tdisp import TdiState
from teeio.wire.tlp import TlpType

TDIS = (0, 1)
DMA_BYTES = 4096
PATTERN_BYTES = 256
# Erasure of keys is bounded by 64 cycles, of work memory by its 1024 rows of 16 bytes, of the DSM's
# RAM after reset by its words: this is above all of them.
ERASURE_CYCLES = 20_000
ROMS = r"u_(?:boot|firmware|slot0)_rom\.mem_q$"
Places = Mapping[str, list[str]]


def test_main_job() -> None:
    """Connect, bind, use, attack, stop, disconnect: one simulation of the merge gate."""
    simulate_system(__name__, prepare_images(), test_filter="gate_")


@pytest.mark.long
@pytest.mark.parametrize("name", ["second_life", "reset_in_run", "end_of_session_in_run"])
def test_long(name: str) -> None:
    """Each connects anew, which costs most of its time."""
    simulate_system(__name__, prepare_images(), test_filter=f"long_{name}")


class Scene:
    """A host, a device, two TDIs, and eyes inside the device."""

    def __init__(self, dut: Any) -> None:
        self.bench = EndpointBench(dut)
        self.random = repeatable_rng(cocotb.RANDOM_SEED)
        self.host = SimHost(self.bench, observe=self._observe, rng=self.random)
        self.walker = Walker(dut.u_dut, skip=ROMS)
        self.plain: dict[int, FunctionDriver] = {}
        self.trusted: dict[int, FunctionDriver] = {}
        self.patterns: dict[str, bytes] = {}
        dut._log.info("%d cells are visible", len(self.walker.paths))
        self._log = dut._log

    def _observe(self, step: str, detail: str) -> None:
        self._log.info("cycle %d: %s: %s", self.bench.cycles(), step, detail)

    async def connect(self) -> None:
        """Power-on to a Secure stream."""
        await self.bench.power_on()
        await self.host.discover()
        await self.host.run(self.host.tsm.connect())

    async def run_tdis(self) -> None:
        """Bind and start both TDIs; the MSI-X table of the first is locked."""
        tsm = self.host.tsm
        for tdi in TDIS:
            function = tsm.tdi_function(tdi)
            self.plain[tdi] = FunctionDriver(function, tee=False)
            self.trusted[tdi] = FunctionDriver(function, tee=True)
            for vector in range(2):
                await self.host.run(self.plain[tdi].program_vector(
                    vector, MSI_BASE, vector_data(tdi, vector)))
            await self.host.run(self.plain[tdi].enable_msix())
            await self.host.run(tsm.bind(tdi, lock_msix=tdi == 0))
            await self.host.run(tsm.start(tdi))
            assert await self.host.run(self.plain[tdi].status()) & 3 == TdiState.RUN

    async def write_patterns(self) -> None:
        """Random bytes into the last bytes of each work memory, and back, all trusted."""
        for tdi, driver in self.trusted.items():
            size = await self.host.run(driver.identify())
            pattern = self.random(PATTERN_BYTES)
            await self.host.run(driver.write(size - PATTERN_BYTES, pattern))
            assert await self.host.run(driver.read(size - PATTERN_BYTES, PATTERN_BYTES)) == pattern
            self.patterns[f"pattern of TDI {tdi}"] = pattern

    async def dma(self, tdi: int) -> None:
        """4 KiB from private host memory into the TDI and out again."""
        driver, memory = self.trusted[tdi], self.host.memory
        owner = driver.function.bdf
        source = memory.allocate(DMA_BYTES, owner=owner, private=True,
                                 contents=self.random(DMA_BYTES))
        sink = memory.allocate(DMA_BYTES, owner=owner, private=True)
        await self.host.run(driver.dma([
            Descriptor(source.address, 0, DMA_BYTES, to_host=False),
            Descriptor(sink.address, 0, DMA_BYTES, to_host=True)]))
        assert sink.data == source.data
        assert not memory.refusals
        self.patterns[f"DMA data of TDI {tdi}"] = bytes(source.data)

    async def interrupt(self, tdi: int) -> None:
        """One MSI-X message; trusted only where the table is locked."""
        self.host.take_events()
        await self.host.run(self.trusted[tdi].trigger_interrupt(1))
        event = await self.host.wait_event(EventKind.INTERRUPT)
        assert event.value == vector_data(tdi, 1)
        assert event.t_bit == (tdi == 0)
        assert event.requester_id == self.trusted[tdi].function.bdf

    async def plain_access_is_refused(self, tdi: int) -> None:
        """Reads of TEE pages without T get UR while the TDI runs."""
        base = self.plain[tdi].function.bar0
        for offset in (CONTROL_PAGE, WORK_MEMORY):
            try:
                await self.host.run(mem_read(base + offset, 4, tee=False))
            except CompletionStatus as refusal:
                assert refusal.status == t.CplStatus.UR
            else:
                raise AssertionError(f"TDI {tdi} answered a plain read of a TEE page")

    async def flip_one_bit(self) -> None:
        """One bit of one trusted write changes on the link; the device reports IDE Fail."""
        flipped: list[bytes] = []

        def flip_once(tlp: bytes) -> list[bytes]:
            if flipped or tlp[0] != t.IDE_PREFIX or tlp[4] != TlpType.MWR64:
                return [tlp]
            bad = bytearray(tlp)
            bad[4 + 16] ^= 0x01  # first payload byte
            flipped.append(tlp)
            return [bytes(bad)]

        self.host.take_events()
        self.host.dispatcher.tamper = flip_once
        base = self.trusted[0].function.bar0 + WORK_MEMORY
        await self.host.run(mem_write(base, self.random(16), tee=True))
        self.host.dispatcher.tamper = None
        assert flipped
        await self.host.wait_event(EventKind.IDE_FAIL_RECEIVED)

    # ---- eyes inside

    def stream_secrets(self) -> dict[str, bytes]:
        """The six IDE keys with what hardware derives from them: schedule and hash key."""
        keys = [key for stream in self.host.port.streams.values() for key in stream.secrets()]
        assert len(keys) == 6
        out = {}
        for number, key in enumerate(keys):
            out[f"IDE key {number}"] = key
            out[f"schedule of IDE key {number}"] = b"".join(round_keys(key)[2:])
            out[f"hash key of IDE key {number}"] = encrypt_block(key, bytes(16))
        return out

    def session_secrets(self) -> dict[str, bytes]:
        """Direction secrets, master secrets and record keys of the SPDM session.

        Not the IVs: without its key an IV of GCM tells nothing.
        """
        assert self.host.tsm.session is not None
        session = self.host.tsm.session.spdm
        application = session._application
        assert application is not None
        out = {f"{name} secret": getattr(application, name).reveal()
               for name in ("request", "response", "master", "export_master")}
        for name, channel in (("request", session._tx), ("response", session._rx)):
            key = channel._keys.key.reveal()
            out[f"{name} record key"] = key
            out[f"schedule of the {name} record key"] = b"".join(round_keys(key)[2:])
        return out

    def look_for(self, secrets: Mapping[str, bytes]) -> Places:
        """Where secrets are now."""
        return find(self.walker.dump(), secrets)


def vector_data(tdi: int, vector: int) -> int:
    """Message data of an interrupt vector."""
    return 0x4100 + 16 * tdi + vector


def only_in(places: Places, name: str, *parts: str) -> None:
    """A secret is in the device, and in these parts of it only."""
    found = places.get(name, [])
    assert found, f"{name} is nowhere: the search is blind"
    strays = [path for path in found if not any(part in path for part in parts)]
    assert not strays, f"{name} is also in {strays}"


def nowhere(places: Places, when: str) -> None:
    """No secret was found."""
    assert not places, f"{when}: {dict(places)}"


def check_places_in_run(scene: Scene) -> None:
    """While everything runs: keys in the IDE engines, session in the DSM, patterns in functions.

    This is also what shows that the search finds what is there.
    """
    stream, session = scene.stream_secrets(), scene.session_secrets()
    places = scene.look_for({**stream, **session, **scene.patterns})
    for name in stream:
        only_in(places, name, ".u_ide_rx.", ".u_ide_tx.")
    for name in ("request record key", "response record key"):
        only_in(places, name, ".u_dsm.")
    for name in scene.patterns:
        assert any(".u_function." in path for path in places.get(name, [])), name
        assert not any(".u_dsm." in path for path in places[name]), name


@cocotb.test(timeout_time=400, timeout_unit="ms")
async def gate_use_attack_stop_disconnect(dut: Any) -> None:
    """TDISP and IDE from discovery to disconnect; every secret is where it belongs, then nowhere.

    An IDE check failure makes the stream Insecure and sends both TDIs to ERROR: keys and work
    memory are erased at once, the session lives on until END_SESSION.
    """
    scene = Scene(dut)
    host = scene.host
    await scene.connect()
    await scene.run_tdis()
    await scene.write_patterns()
    for tdi in TDIS:
        await scene.dma(tdi)
        await scene.interrupt(tdi)
        await scene.plain_access_is_refused(tdi)
    check_places_in_run(scene)
    stream, session = scene.stream_secrets(), scene.session_secrets()

    await scene.flip_one_bit()
    await scene.bench.delay(ERASURE_CYCLES)
    nowhere(scene.look_for({**stream, **scene.patterns}), "after the stream failed")
    assert await host.run(host.tsm.stream_state()) == 0
    for tdi in TDIS:
        assert await host.run(host.tsm.tdi_state(tdi)) is TdiState.ERROR
        await host.run(host.tsm.unbind(tdi))
        size = await host.run(scene.plain[tdi].identify())
        assert await host.run(scene.plain[tdi].read(0, size)) == bytes(size)

    await host.run(host.tsm.disconnect())
    await scene.bench.delay(ERASURE_CYCLES)
    nowhere(scene.look_for({**stream, **session, **scene.patterns}), "after END_SESSION")
    assert not [event for event in host.take_events() if event.kind is EventKind.UNEXPECTED]
    scene.bench.check_credits()


@cocotb.test(timeout_time=800, timeout_unit="ms")
async def long_second_life(dut: Any) -> None:
    """After an attack and a disconnect the same TSM connects again: fresh session, fresh keys."""
    scene = Scene(dut)
    host = scene.host
    await scene.connect()
    await scene.run_tdis()
    old = {**scene.stream_secrets(), **scene.session_secrets()}
    assert host.tsm.session is not None
    old_id = host.tsm.session.spdm.session_id
    await scene.flip_one_bit()
    await host.run(host.tsm.disconnect())
    await host.run(host.tsm.connect())
    assert host.tsm.session.spdm.session_id != old_id
    new = {**scene.stream_secrets(), **scene.session_secrets()}
    assert not set(old.values()) & set(new.values())
    await scene.run_tdis()
    await scene.write_patterns()
    await scene.dma(0)
    check_places_in_run(scene)
    nowhere(scene.look_for(old), "of the first session, in the second")
    for tdi in TDIS:
        await host.run(host.tsm.unbind(tdi))
    await scene.bench.delay(ERASURE_CYCLES)
    nowhere(scene.look_for(scene.patterns), "after STOP out of RUN")
    await host.run(host.tsm.disconnect())
    nowhere(scene.look_for(new), "after the second END_SESSION")
    scene.bench.check_credits()


@cocotb.test(timeout_time=400, timeout_unit="ms")
async def long_reset_in_run(dut: Any) -> None:
    """A conventional reset in the middle of everything leaves nothing; the TDIs are unlocked."""
    scene = Scene(dut)
    await scene.connect()
    await scene.run_tdis()
    await scene.write_patterns()
    await scene.dma(1)
    check_places_in_run(scene)
    secrets = {**scene.stream_secrets(), **scene.session_secrets(), **scene.patterns}
    await scene.host.reset()
    await scene.bench.delay(ERASURE_CYCLES)
    nowhere(scene.look_for(secrets), "after conventional reset")
    await scene.host.discover()
    for tdi in TDIS:
        driver = FunctionDriver(scene.host.tsm.tdi_function(tdi), tee=False)
        assert await scene.host.run(driver.status()) & 3 == TdiState.CONFIG_UNLOCKED
        size = await scene.host.run(driver.identify())
        assert await scene.host.run(driver.read(0, size)) == bytes(size)


@cocotb.test(timeout_time=400, timeout_unit="ms")
async def long_end_of_session_in_run(dut: Any) -> None:
    """END_SESSION without STOP: the tag of the session kills keys and TDIs in hardware."""
    scene = Scene(dut)
    host = scene.host
    await scene.connect()
    await scene.run_tdis()
    await scene.write_patterns()
    check_places_in_run(scene)
    secrets = {**scene.stream_secrets(), **scene.session_secrets(), **scene.patterns}
    assert host.tsm.session is not None
    await host.run(host.tsm.session.end())
    await scene.bench.delay(ERASURE_CYCLES)
    nowhere(scene.look_for(secrets), "after END_SESSION in RUN")
    assert await host.run(host.tsm.stream_state()) == 0
    for tdi in TDIS:
        assert await host.run(scene.plain[tdi].status()) & 3 == TdiState.ERROR
