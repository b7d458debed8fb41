# SPDX-License-Identifier: Apache-2.0
"""What may follow what: state machines and generators without I/O, clock or randomness."""

from __future__ import annotations
