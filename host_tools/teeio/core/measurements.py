# SPDX-License-Identifier: Apache-2.0
"""Judging measurements: blocks against reference values, block by block with a reason.

The signature over the blocks is checked where they are received (`core/spdm_context.py`); this
file only compares.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from teeio.wire.spdm_measurements import MeasurementBlock, MeasurementType
from teeio.wire.spdm_session import SUMMARY_TCB

References: TypeAlias = Mapping[int, tuple[int, bytes]]
"""Reference values: index -> (value type, value)."""

_TCB_TYPES: Final = frozenset(
    {
        MeasurementType.IMMUTABLE_ROM,
        MeasurementType.MUTABLE_FIRMWARE,
        MeasurementType.HARDWARE_CONFIGURATION,
        MeasurementType.FIRMWARE_CONFIGURATION,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedMeasurements:
    """Blocks under a verified signature, with the evidence that proves it to a third party.

    Attributes:
        evidence: L1/L2, the bytes that are signed (VCA first).
        signature: the device's signature in SPDM form, context "responder-measurements signing".
        content_change: 0 not detected, 1 changed, 2 unchanged.
    """

    blocks: tuple[MeasurementBlock, ...]
    content_change: int
    evidence: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockVerdict:
    """One line of the judgement; `reason` is empty if it matches."""

    index: int
    is_match: bool
    reason: str = ""


def compare(
    blocks: tuple[MeasurementBlock, ...],
    references: References,
    *,
    allow_unreferenced: bool = False,
) -> tuple[BlockVerdict, ...]:
    """Judges every index that occurs in `blocks` or in `references`, ascending.

    Args:
        blocks: what the device reported.
        references: what it should have reported.
        allow_unreferenced: let blocks pass that nobody knows; otherwise they are a mismatch.
    """
    by_index: dict[int, list[MeasurementBlock]] = {}
    for block in blocks:
        by_index.setdefault(block.index, []).append(block)
    verdicts: list[BlockVerdict] = []
    for index in sorted(set(by_index) | set(references)):
        reason = _judge(by_index.get(index, []), references.get(index), allow_unreferenced)
        verdicts.append(BlockVerdict(index=index, is_match=not reason, reason=reason))
    return tuple(verdicts)


def _judge(
    found: list[MeasurementBlock], reference: tuple[int, bytes] | None, allow_unreferenced: bool
) -> str:
    if not found:
        return "not reported"
    if len(found) > 1:
        return f"reported {len(found)} times"
    if reference is None:
        return "" if allow_unreferenced else "no reference value"
    block = found[0]
    value_type, value = reference
    if block.value_type != value_type:
        return f"value type {block.value_type}, reference has {value_type}"
    if not hmac.compare_digest(block.value, value):
        return f"value {block.value.hex()}, reference has {value.hex()}"
    return ""


def summary_input(blocks: tuple[MeasurementBlock, ...], summary_type: int) -> bytes:
    """What the base hash of a measurement summary covers: whole blocks, ascending by index.

    Args:
        blocks: all blocks of the device.
        summary_type: 1 = components of the TCB only, 0xFF = indices 1..FEh.
    """
    chosen = [
        block
        for block in sorted(blocks, key=lambda item: item.index)
        if summary_type != SUMMARY_TCB or block.value_type in _TCB_TYPES
    ]
    return b"".join(block.encode() for block in chosen)
