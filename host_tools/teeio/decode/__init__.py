# SPDX-License-Identifier: Apache-2.0
"""Explains records: DOE objects of a pcap file, TLPs of a trace.

`Conversation` follows SPDM with the codecs of `wire` and the key schedule, transcripts and
verification of `core`; it holds no format of its own.
"""

from __future__ import annotations

from teeio.decode.conversation import Conversation
from teeio.decode.entry import Check, Entry, Summary
from teeio.decode.trace import decode_trace

__all__ = ["Check", "Conversation", "Entry", "Summary", "decode_trace"]
