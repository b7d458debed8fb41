# SPDX-License-Identifier: Apache-2.0
"""Judging measurements against references."""

from __future__ import annotations

import pytest

from teeio.core.measurements import compare, summary_input
from teeio.errors import DecodeError
from teeio.wire.reader import decode_whole
from teeio.wire.spdm_measurements import DeviceMode, MeasurementBlock, Measurements
from tests import responder


def block(index: int, kind: int, value: bytes) -> MeasurementBlock:
    return MeasurementBlock(index=index, value_type=kind, is_raw=False, value=value)


ROM, FIRMWARE, MANIFEST = block(1, 0, b"rom"), block(2, 1, b"fw"), block(0xFD, 4, b"m")
REFERENCES = {1: (0, b"rom"), 2: (1, b"fw"), 0xFD: (4, b"m")}


def test_all_match() -> None:
    verdicts = compare((ROM, FIRMWARE, MANIFEST), REFERENCES)
    assert [item.index for item in verdicts] == [1, 2, 0xFD]
    assert all(item.is_match and not item.reason for item in verdicts)


@pytest.mark.parametrize(
    ("blocks", "index", "reason"),
    [
        ((ROM, block(2, 1, b"no"), MANIFEST), 2, "value 6e6f, reference has 6677"),
        ((ROM, block(2, 2, b"fw"), MANIFEST), 2, "value type 2, reference has 1"),
        ((ROM, MANIFEST), 2, "not reported"),
        ((ROM, FIRMWARE, FIRMWARE, MANIFEST), 2, "reported 2 times"),
        ((ROM, FIRMWARE, block(3, 1, b""), MANIFEST), 3, "no reference value"),
    ],
)
def test_one_mismatch_is_told(
    blocks: tuple[MeasurementBlock, ...], index: int, reason: str
) -> None:
    bad = [item for item in compare(blocks, REFERENCES) if not item.is_match]
    assert [(item.index, item.reason) for item in bad] == [(index, reason)]


def test_unreferenced_blocks_pass_only_on_request() -> None:
    extra = (ROM, FIRMWARE, MANIFEST, block(9, 1, b"x"))
    assert all(item.is_match for item in compare(extra, REFERENCES, allow_unreferenced=True))
    assert not all(item.is_match for item in compare(extra, REFERENCES))
    assert compare((), {}) == ()


def test_summary_takes_whole_blocks_in_ascending_order() -> None:
    """Type 1 takes TCB components only; the bytes are those of an independent encoder."""
    mixed = (MANIFEST, FIRMWARE, ROM)
    rom, firmware = responder.block(1, 0, b"rom"), responder.block(2, 1, b"fw")
    assert summary_input(mixed, 1) == rom + firmware
    assert summary_input(mixed, 0xFF) == rom + firmware + responder.block(0xFD, 4, b"m")


def test_record_must_be_filled_by_its_blocks() -> None:
    """Count and length must agree."""
    record = responder.block(1, 0, b"rom")
    message = Measurements(version=0x12, block_count=1, record=record, nonce=bytes(32))
    assert message.blocks() == (ROM,)
    for count, data in ((2, record), (0, record), (1, record + b"\x00"), (1, record[:-1])):
        with pytest.raises(DecodeError):
            Measurements(version=0x12, block_count=count, record=data, nonce=bytes(32)).blocks()


def test_device_mode_words() -> None:
    mode = decode_whole(DeviceMode.decode, bytes.fromhex("3f000000040000001f00000011000000"))
    assert mode == DeviceMode(
        operational_capabilities=0x3F,
        operational_state=4,
        device_capabilities=0x1F,
        device_state=0x11,
    )
