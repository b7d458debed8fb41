# SPDX-License-Identifier: Apache-2.0
"""Tests of the symmetric cryptography: AES, GCM, SHA-384 and the random number generator."""

from __future__ import annotations
