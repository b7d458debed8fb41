# SPDX-License-Identifier: Apache-2.0
"""A host whose target carries messages, not TLPs: `native:` and `spdm-emu://`.

It takes the verbs as `teeio.host.Host` does. What needs TLPs is left out, and each omission is
told as a step called "skipped".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from teeio.core.capabilities import Capabilities
from teeio.core.message_tsm import MessageTsm
from teeio.core.ops import Steps
from teeio.core.tsm import Tsm, TsmPolicy
from teeio.errors import LocalError
from teeio.host import Recording
from teeio.records import DoePcap, LabKeyLogFile
from teeio.targets import EmulatorTarget, capabilities_of, open_target

T = TypeVar("T")


def carries_tlps(url: str) -> bool:
    """A URL of `teeio.host.Host`, or of this host?"""
    return capabilities_of(url).ide


class TargetHost:
    """A host on one message target.

    Args:
        url: `native:` or `spdm-emu://host:port`.
        policy: what the TSM trusts.
        observe: called with (step, detail) as verbs go on.
        recording: what to record; TLPs and link bytes there are none.
        rng: source of random bytes.

    Raises:
        LocalError: the URL is one of a board, or a record that this target cannot give was asked
            for.
        TransportError: nothing answers.
    """

    def __init__(self, url: str, policy: TsmPolicy, *,
                 observe: Callable[[str, str], None] | None = None,
                 recording: Recording | None = None,
                 rng: Callable[[int], bytes] = os.urandom) -> None:
        recording = recording or Recording()
        if carries_tlps(url):
            raise LocalError(f"{url} is a board: use Host")
        if recording.tlps or recording.raw:
            raise LocalError(f"{url} carries no TLPs: only the DOE objects can be recorded")
        self._closed = False
        self._keylog: LabKeyLogFile | None = None
        self._pcap: DoePcap | None = None
        self.target = open_target(url, self._on_object)
        try:
            if recording.lab_keylog is not None:
                self._keylog = LabKeyLogFile(recording.lab_keylog)
                policy = replace(policy, requester=replace(policy.requester,
                                                           lab_log=self._keylog))
            if recording.pcap is not None:
                self._pcap = DoePcap(recording.pcap, recording.link_type)
            self.tsm: Tsm
            if isinstance(self.target, EmulatorTarget):
                where = self.target.where
                policy = replace(policy, stream_id=where.stream, port_index=where.port_index,
                                 require_pcie_identity=False)
                self.tsm = MessageTsm(policy, rng, observe, where.interface)
            else:
                self.tsm = Tsm(policy, rng, observe, self.target.capabilities)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The target."""
        return self.target.url

    @property
    def is_lost(self) -> bool:
        """Nothing answers any more."""
        return self.target.is_lost

    @property
    def capabilities(self) -> Capabilities:
        """What the target carries."""
        return self.target.capabilities

    def run(self, steps: Steps[T]) -> T:
        """Drive a program of operations to its end."""
        return self.target.run(steps)

    def discover(self) -> None:
        """Enumerate, where there is a configuration space."""
        self.run(self.tsm.discover())

    def close(self) -> None:
        """End the target and close the records; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.target.close()
        for stream in (self._pcap, self._keylog):
            if stream is not None:
                stream.close()

    def _on_object(self, is_request: bool, data: bytes) -> None:
        if self._pcap is not None:
            self._pcap.add(is_request, data)
