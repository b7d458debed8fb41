# SPDX-License-Identifier: Apache-2.0
"""The guest of CoVE-IO: its trusted device manager takes six checks before it starts an interface.

Source: CoVE-IO, "TVM acceptance of a device". What the host hands over counts only after the TSM
has compared it; what the device signs counts only with the guest's own anchors and nonce.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from teeio.core.certificates import ChainPolicy, ChainStructure, verify_chain
from teeio.core.measurements import References, compare
from teeio.core.ops import Steps
from teeio.core.spdm_crypto import CONTEXT_MEASUREMENTS, PublicKey, Suite
from teeio.errors import PeerError
from teeio.platforms.common.context import Context
from teeio.platforms.common.pages import PAGE
from teeio.platforms.cove import rules
from teeio.platforms.cove.host import CoveHost
from teeio.platforms.cove.rules import TvmReason
from teeio.platforms.cove.sbi import Covg, SbiRet
from teeio.platforms.cove.transcript import Element, Parsed, parse
from teeio.wire.reader import decode_whole
from teeio.wire.spdm_base import Cap
from teeio.wire.spdm_connection import Capabilities
from teeio.wire.spdm_measurements import GetMeasurements, Measurements
from teeio.wire.spdm_session import KeyExchange
from teeio.wire.tdisp import TdiState
from teeio.wire.tdisp_report import InterfaceInfo, InterfaceReport

NONCE_BYTES = 32
LINK_SECURED = 3
POLICY_TERMINATE_ON_UPDATE = 1 << 0


@dataclass(frozen=True, slots=True)
class TvmPolicy:
    """What a guest believes and insists on.

    Attributes:
        anchors: its trust anchors, DER; not the TSM's.
        at: time at which certificates must be valid.
        references: measurement reference values.
        locked_firmware: it is content with NO_FW_UPDATE; otherwise it wants measurements that are
            taken anew and a session that ends with an update.
    """

    anchors: tuple[bytes, ...]
    at: datetime
    references: References
    locked_firmware: bool = True


class CallFailed(PeerError):
    """A call into the TSM failed.

    Attributes:
        ret: what it returned.
    """

    def __init__(self, what: str, ret: SbiRet) -> None:
        reason = f" ({ret.reason.value})" if ret.reason is not None else ""
        super().__init__(f"{what}: {ret.error.name}{reason}", clause="CoVE-IO, COVG")
        self.ret = ret


@dataclass(slots=True)
class Tdm:
    """Trusted device manager of one TVM.

    Args:
        context: shared.
        name: the TVM.
        policy: see there.
        host: the VMM below it.
        rng: source of random bytes.
    """

    context: Context
    name: str
    policy: TvmPolicy
    host: CoveHost
    rng: Callable[[int], bytes] = field(repr=False)

    def call(self, function: Covg, *args: int | bytes | None) -> Steps[SbiRet]:
        """A COVG call that must succeed.

        Raises:
            CallFailed: it does not.
        """
        ret = yield from self.host.enter(self.name, function, *args)
        if not ret.ok:
            raise CallFailed(function.name, ret)
        return ret

    # ---- acceptance ------------------------------------------------------------------------------
    def accept(self, interface: int, gpa: int, size: int) -> Steps[InterfaceReport]:
        """The six checks.

        Args:
            interface: interface id.
            gpa, size: the BAR as the host shows it.

        Raises:
            Refused: GUEST_*.
            CallFailed: the TSM does not answer.
        """
        take = self.context.checks.require
        link = yield from self.call(Covg.GET_DEVICE_LINK, interface)
        take(rules.GUEST_LINK, link.value == LINK_SECURED, TvmReason.LINK, f"{link.value}")
        transcript = parse((yield from self.call(
            Covg.GET_DEVICE_CONNECTION_TRANSCRIPT, interface, Element.FULL, 0)).data)
        data = (yield from self.call(Covg.GET_INTERFACE_REPORT, interface)).data
        report = decode_whole(InterfaceReport.decode, data)
        self.check_policy(transcript, report)
        state = yield from self.call(Covg.GET_INTERFACE_STATE, interface)
        take(rules.GUEST_LOCKED, state.value == TdiState.CONFIG_LOCKED, TvmReason.STATE,
             f"{state.value}")
        slot = transcript.one(KeyExchange)
        assert isinstance(slot, KeyExchange)
        leaf, suite = self.check_chain(transcript, slot.slot)
        nonce = self.rng(NONCE_BYTES)
        signed = yield from self.call(Covg.GET_DEVICE_MEASUREMENTS, interface, nonce, 0)
        self.check_measurements(signed.data, nonce, leaf, suite)
        yield from self.check_ranges(interface, report, gpa, size)
        return report

    def start(self, interface: int) -> Steps[None]:
        """start_interface, and the state afterwards.

        Raises:
            Refused: GUEST_RUNNING.
            CallFailed: it was not started.
        """
        yield from self.call(Covg.START_INTERFACE, interface)
        state = yield from self.call(Covg.GET_INTERFACE_STATE, interface)
        self.context.checks.require(rules.GUEST_RUNNING, state.value == TdiState.RUN,
                                    TvmReason.RUNNING, f"{state.value}")

    # ---- single checks ---------------------------------------------------------------------------
    def check_policy(self, transcript: Parsed, report: InterfaceReport) -> None:
        """Check 2: nobody changes the firmware behind the guest's back."""
        capabilities, exchange = transcript.one(Capabilities), transcript.one(KeyExchange)
        assert isinstance(capabilities, Capabilities) and isinstance(exchange, KeyExchange)
        locked = bool(report.interface_info & InterfaceInfo.NO_FW_UPDATE)
        noticed = (bool(capabilities.flags & Cap.MEAS_FRESH)
                   and bool(exchange.session_policy & POLICY_TERMINATE_ON_UPDATE))
        self.context.checks.require(
            rules.GUEST_POLICY, noticed or (locked and self.policy.locked_firmware),
            TvmReason.POLICY, f"NO_FW_UPDATE {int(locked)}")

    def check_chain(self, transcript: Parsed, slot: int) -> tuple[PublicKey, Suite]:
        """Check 4: the chain of the session's slot, to an anchor of this guest; the leaf key."""
        suite, structure = transcript.suite, transcript.chain(slot)
        if suite is None:
            raise PeerError("the transcript has no ALGORITHMS", clause="CoVE-IO, transcript")
        policy = ChainPolicy(roots=self.policy.anchors, at=self.policy.at,
                             require_responder_eku=True, require_hardware_identity=True)
        problem = ""
        try:
            verify_chain(structure, suite.hash_name, policy)
        except PeerError as error:
            problem = error.reason
        self.context.checks.require(rules.GUEST_CHAIN, not problem, TvmReason.CHAIN, problem)
        chain = decode_whole(lambda r: ChainStructure.decode(r, suite.hash_size), structure)
        key = x509.load_der_x509_certificate(chain.certificates[-1]).public_key()
        return key, suite  # type: ignore[return-value]

    def check_measurements(self, data: bytes, nonce: bytes, leaf: PublicKey, suite: Suite) -> None:
        """Check 5: signed by the leaf, in answer to the nonce, and what they should be.

        Args:
            data: VCA, GET_MEASUREMENTS and MEASUREMENTS as they are signed, then the signature.
        """
        checks = self.context.checks
        exchange = parse(data, suite).exchanges[-1]
        request, answer = exchange.request, exchange.response
        assert isinstance(request, GetMeasurements) and isinstance(answer, Measurements)
        signature = answer.signature
        checks.require(rules.GUEST_NONCE, request.is_signed and request.nonce == nonce,
                       TvmReason.NONCE)
        checks.require(rules.GUEST_SIGNATURE, suite.verify(
            leaf, CONTEXT_MEASUREMENTS, data[:-len(signature)], signature), TvmReason.SIGNATURE)
        verdicts = compare(answer.blocks(), self.policy.references)
        bad = [f"block {v.index}: {v.reason}" for v in verdicts if not v.is_match]
        checks.require(rules.GUEST_VALUES, bool(verdicts) and not bad, TvmReason.VALUES,
                       "; ".join(bad))

    def check_ranges(self, interface: int, report: InterfaceReport, gpa: int, size: int) -> (
            Steps[None]):
        """Check 6: ranges ascend inside of the BAR that is shown, and the TSM confirms each."""
        checks, first = self.context.checks, report.ranges[0].first_page if report.ranges else 0
        last = 0
        for item in report.ranges:
            at = item.first_page - first
            fits = last <= at and at + item.pages <= size // PAGE and item.range_id == 0
            checks.require(rules.GUEST_RANGES, fits, TvmReason.RANGES,
                           f"page {at}, {item.pages} pages of {size // PAGE}")
            last = at + item.pages
            ret = yield from self.host.enter(
                self.name, Covg.MAP_INTERFACE_MMIO, interface, gpa + at * PAGE,
                item.first_page * PAGE, item.pages * PAGE)
            checks.require(rules.GUEST_CONFIRMED, ret.ok, TvmReason.CONFIRMED,
                           ret.reason.name if ret.reason is not None else ret.error.name)
