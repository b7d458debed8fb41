# SPDX-License-Identifier: Apache-2.0
"""Packed structs of `tdisp_pkg` as field lists for `streams.pack`, most significant field first."""

from __future__ import annotations

from cocotb_tests.env.streams import Fields

TDI_VIEW: Fields = (
    ("state", 2), ("msix_locked", 1), ("block", 2), ("p2p", 3), ("shared", 2),
)
TDI_VIEW_BITS = sum(width for _, width in TDI_VIEW)

TDI_CMD: Fields = (
    ("op", 3), ("tdi_idx", 8), ("stream_id", 8), ("session_tag", 16), ("lock_msix", 1),
    ("no_fw_update", 1), ("bind_p2p", 1), ("non_tee", 1), ("pages", 16), ("p2p_mask", 64),
    ("nonce", 256),
)
TDI_RES: Fields = (("code", 3), ("nonce", 256))
