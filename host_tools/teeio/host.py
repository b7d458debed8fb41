# SPDX-License-Identifier: Apache-2.0
"""One host: transport, root port, dispatcher and TSM put together, each its own object.

The TSM sees only the dispatcher, the dispatcher only the root port, the root port only TLPs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from teeio.board import Images
from teeio.core.capabilities import BOARD, Capabilities
from teeio.core.certificates import load_root
from teeio.core.enumerate import Function
from teeio.core.memory import HostMemory
from teeio.core.ops import Steps
from teeio.core.port_steps import LinkSteps, control, pump
from teeio.core.references import endpoint_references
from teeio.core.rootport import PortEvent, RootPort
from teeio.core.tsm import Tsm, TsmPolicy
from teeio.dispatch import Dispatcher
from teeio.errors import LocalError
from teeio.records import DoePcap, LabKeyLogFile
from teeio.targets import capabilities_of
from teeio.transports.bench import BenchTransport
from teeio.wire.link import ControlOp
from teeio.wire.pcap import LINKTYPE_DOE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recording:
    """Where a host keeps its records; all optional.

    Attributes:
        pcap: DOE objects, link type 292.
        raw: every byte of the bench link, both directions.
        tlps: one line a TLP: "> hex" to the device, "< hex" from it.
        link_type: of the pcap file, 292 or 147.
        lab_keylog: secrets of the session, in a file that must not exist yet; None writes none.
    """

    pcap: Path | None = None
    raw: Path | None = None
    tlps: Path | None = None
    link_type: int = LINKTYPE_DOE
    lab_keylog: Path | None = None


def policy_from_files(root: Path, boot_bin: Path, firmware_bin: Path, *,
                      seeded: bool = False, test_hooks: bool = False) -> TsmPolicy:
    """Trust a root certificate and reference values computed from image files.

    Args:
        root: root certificate, PEM or DER.
        boot_bin, firmware_bin: ROM contents the device should be running.
        seeded: accept deterministic entropy (simulation only).
        test_hooks: accept test hooks (a native process has them).

    Raises:
        LocalError: a file cannot be read.
    """
    try:
        return TsmPolicy(
            roots=(load_root(root.read_bytes()),),
            at=datetime.now(UTC),
            references=endpoint_references(boot_bin.read_bytes(), firmware_bin.read_bytes(),
                                           seeded=seeded, test_hooks=test_hooks))
    except OSError as error:
        raise LocalError(f"cannot read {error.filename}: {error.strerror}") from error


def policy_without_references(root: Path) -> TsmPolicy:
    """Trust a root certificate for another vendor's responder: its measurements must be signed,
    their values are taken as they are, and its leaf need not carry the roles of a TEE-IO device.

    Raises:
        LocalError: the file cannot be read.
    """
    try:
        return TsmPolicy(roots=(load_root(root.read_bytes()),), at=datetime.now(UTC),
                         references={}, allow_unreferenced=True, require_leaf_roles=False,
                         require_pcie_identity=False)
    except OSError as error:
        raise LocalError(f"cannot read {error.filename}: {error.strerror}") from error


def policy_for(images: Images, *, seeded: bool = False) -> TsmPolicy:
    """Trust the lab root and the image files of a board built here."""
    return policy_from_files(images.root_certificate, images.boot_bin, images.firmware_bin,
                             seeded=seeded)


class HostParts:
    """What every host is made of but its transport: memory, root port, dispatcher and TSM.

    Args:
        policy: what the TSM trusts.
        observe: called with (step, detail) as verbs go on.
        on_object: called with (is_request, object bytes) for every DOE object.
        rng: source of random bytes.
        port: a port of a root complex; a port and a memory of its own without.
    """

    def __init__(
        self,
        policy: TsmPolicy,
        *,
        observe: Callable[[str, str], None] | None = None,
        on_object: Callable[[bool, bytes], None] | None = None,
        rng: Callable[[int], bytes] = os.urandom,
        port: RootPort | None = None,
    ) -> None:
        self.port = port or RootPort(HostMemory())
        self.memory = self.port.memory
        self.port.max_payload = 256
        self.tsm = Tsm(policy, rng, observe)
        self.dispatcher = Dispatcher(self.port, lambda: self.tsm.mailbox, on_object=on_object)

    def program(self, steps: Steps[T]) -> LinkSteps[T]:
        """A program of operations as link effects, for a transport to run."""
        return (yield from self.dispatcher.steps(steps))

    def discovery(self) -> Steps[list[Function]]:
        """Enumerate what is behind the port; the mailbox is known afterwards."""
        behind = self.port.behind
        if behind is None:
            return self.tsm.discover()
        return self.tsm.discover(behind.bus, behind.window, behind.window_bytes)

    def take_events(self) -> list[PortEvent]:
        """Events since the last call."""
        events = list(self.port.events)
        self.port.events.clear()
        return events


class Host(HostParts):
    """A host on one bench link.

    Args:
        url: the board.
        policy: what the TSM trusts.
        observe: called with (step, detail) as verbs go on.
        recording: what to record.
        rng: source of random bytes.
        port: a port of a root complex; a port and a memory of its own without.
    """

    def __init__(
        self,
        url: str,
        policy: TsmPolicy,
        *,
        observe: Callable[[str, str], None] | None = None,
        recording: Recording | None = None,
        rng: Callable[[int], bytes] = os.urandom,
        port: RootPort | None = None,
    ) -> None:
        recording = recording or Recording()
        capabilities_of(url).require(url, "mmio", "dma", "ide")
        self._keylog: LabKeyLogFile | None = None
        self._pcap = DoePcap(recording.pcap, recording.link_type) if recording.pcap else None
        self._raw = recording.raw.open("wb") if recording.raw else None
        self._tlps = recording.tlps.open("w", buffering=1) if recording.tlps else None
        self.transport = BenchTransport(url, tap=self._on_bytes, tlp_tap=self._on_tlp)
        try:
            if recording.lab_keylog is not None:
                self._keylog = LabKeyLogFile(recording.lab_keylog)
                policy = replace(policy, requester=replace(policy.requester,
                                                           lab_log=self._keylog))
        except LocalError:
            self.close()
            raise
        super().__init__(policy, observe=observe, on_object=self._on_object, rng=rng,
                         port=port)

    @property
    def url(self) -> str:
        """The board."""
        return self.transport.url

    @property
    def is_lost(self) -> bool:
        """Nothing answers on the link any more."""
        return self.transport.is_lost

    @property
    def capabilities(self) -> Capabilities:
        """What a board carries: all of it."""
        return BOARD

    def run(self, steps: Steps[T]) -> T:
        """Drive a program of operations to its end."""
        return self.transport.run(self.program(steps))

    def discover(self) -> None:
        """Enumerate the device; its mailbox is known afterwards."""
        self.run(self.discovery())

    def reset(self) -> None:
        """Conventional reset of the endpoint."""
        self.transport.run(control(ControlOp.RESET))
        self.port.reset()

    def cycles(self) -> int:
        """Device clock cycles since power-on, from the hardware counter."""
        low, high, _ = self.transport.run(control(ControlOp.CYCLES))
        return high << 32 | low

    def serve(self, cycles: int) -> int:
        """Serve what the device sends on its own, for at most `cycles`; number of TLPs."""
        return self.transport.run(pump(self.port, cycles))

    def mark(self, step: str) -> None:
        """Write a heading into the TLP trace."""
        if self._tlps is not None:
            self._tlps.write(f"= {step}\n")

    def close(self) -> None:
        """Close link and records."""
        self.transport.close()
        for stream in (self._pcap, self._keylog, self._raw, self._tlps):
            if stream is not None:
                stream.close()

    # ---- records ---------------------------------------------------------------------------------
    def _on_object(self, is_request: bool, data: bytes) -> None:
        if self._pcap is not None:
            self._pcap.add(is_request, data)

    def _on_bytes(self, direction: str, data: bytes) -> None:
        if self._raw is not None:
            self._raw.write(data)

    def _on_tlp(self, direction: str, tlp: bytes) -> None:
        if self._tlps is not None:
            self._tlps.write(f"{'>' if direction == 'tx' else '<'} {tlp.hex()}\n")
