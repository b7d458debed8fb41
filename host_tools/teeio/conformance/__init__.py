# SPDX-License-Identifier: Apache-2.0
"""Conformance suite for devices and responders: cases as data, a runner, reports.

`docs/conformance.md` says how to run it on a device.
"""

from __future__ import annotations
