# SPDX-License-Identifier: Apache-2.0
"""A second judge of the demo: its verdicts computed again from doe.pcap and tlps.txt alone.

It reads no report, holds no key and shares no code with the host that made the records.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from teeio.check import packets, spdm
from teeio.check.trace import ATTEST, DMA, RECOVER, Evidence
from teeio.check.verdict import NotShown, Verdict, require
from teeio.errors import LocalError

PCAP_FILE = "doe.pcap"
TRACE_FILE = "tlps.txt"


def check_folder(folder: Path, root: Path) -> list[Verdict]:
    """Judge the records of a demo.

    Args:
        folder: holds doe.pcap and tlps.txt.
        root: the root certificate that is trusted, PEM or DER.

    Raises:
        LocalError: a file cannot be read, or the root is no certificate.
    """
    try:
        trusted = spdm.root_bytes(root.read_bytes())
        return judge((folder / PCAP_FILE).read_bytes(), (folder / TRACE_FILE).read_text(),
                     trusted)
    except OSError as error:
        raise LocalError(f"cannot read {error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise LocalError(f"{root} is no certificate: {error}") from error


def judge(pcap: bytes, trace: str, root: bytes) -> list[Verdict]:
    """All verdicts on a record; a part that cannot be read fails all that rest on it.

    Args:
        pcap: DOE objects.
        trace: the TLP trace.
        root: trusted root certificate, DER.
    """
    out: list[Verdict] = []

    def say(name: str, claim: Callable[[], str]) -> None:
        try:
            out.append(Verdict(name, True, claim()))
        except NotShown as reason:
            out.append(Verdict(name, False, str(reason)))
        except Exception as error:  # whatever a broken record provokes is a verdict, not a crash
            out.append(Verdict(name, False, f"malformed record ({type(error).__name__}: {error})"))

    def connections() -> list[spdm.Connection]:
        return spdm.split(spdm.read_pcap(pcap))

    evidence: list[Evidence] = []

    def seen() -> Evidence:
        if not evidence:
            evidence.append(Evidence(packets.parse(trace)))
        return evidence[0]

    def each(claim: Callable[[spdm.Connection], str]) -> str:
        return "; ".join(dict.fromkeys(claim(c) for c in connections()))

    def leaf(c: spdm.Connection) -> x509.Certificate:
        return spdm.check_chain(c, root)[0]

    say("SPDM messages in order", lambda: each(spdm.check_order))
    say("SPDM algorithms", lambda: each(spdm.check_suite))
    say("certificate chain to the given root",
        lambda: each(lambda c: spdm.check_chain(c, root)[1]))
    say("certificate names the device found",
        lambda: each(lambda c: spdm.check_name(leaf(c), seen().identity())))
    say("KEY_EXCHANGE_RSP signed by the leaf",
        lambda: each(lambda c: spdm.check_signature(c, leaf(c))))
    say("records belong to their session", lambda: each(spdm.check_records))
    say("every session is a new one", lambda: spdm.check_fresh(connections()))
    say("both records hold the same DOE objects", lambda: _same_objects(pcap, seen()))
    for name, claim in (
        ("steps in order", lambda: seen().steps()),
        ("discovery of four TEE-IO functions", lambda: seen().discovered()),
        ("stream enabled and Secure", lambda: seen().secured(ATTEST)),
        ("interfaces in RUN", lambda: seen().running()),
        ("trusted MMIO both ways", lambda: seen().mmio()),
        ("trusted DMA of two interfaces", lambda: seen().dma(DMA, 2)),
        ("IDE Sync from the device", lambda: seen().syncs()),
        ("PR_Sent_Counter of every IDE TLP", lambda: seen().counters()),
        ("MSI-X and its protection", lambda: seen().interrupts()),
        ("plain reads of TEE pages refused", lambda: seen().refused()),
        ("attack answered with IDE Fail", lambda: seen().detected()),
        ("no IDE TLP from IDE Fail to Enable", lambda: seen().silent()),
        ("IDE Check Failed in AER", lambda: seen().reported()),
        ("work memory erased", lambda: seen().erased()),
        ("stream Secure again", lambda: seen().secured(RECOVER)),
        ("trusted DMA again", lambda: seen().dma(RECOVER, 1)),
        ("stream taken down", lambda: seen().ended()),
    ):
        say(name, claim)
    return out


def _same_objects(pcap: bytes, evidence: Evidence) -> str:
    recorded = [o.whole for o in spdm.read_pcap(pcap)]
    moved = evidence.data_objects()
    require(len(recorded) == len(moved),
            f"{len(recorded)} objects in the pcap, {len(moved)} in the trace")
    for i, (a, b) in enumerate(zip(recorded, moved, strict=True)):
        require(a == b, f"object {i} differs")
    return f"{len(recorded)} objects"
