# SPDX-License-Identifier: Apache-2.0
"""What the bytes mean: codecs over a bounded reader, without state and without I/O."""

from __future__ import annotations
