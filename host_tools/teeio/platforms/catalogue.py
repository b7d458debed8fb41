# SPDX-License-Identifier: Apache-2.0
"""All platforms: importing this registers them, their checks and their scenarios."""

from __future__ import annotations

from teeio.platforms.common.scenario import platform_named, platforms, scenarios

__all__ = ["platform_named", "platforms", "scenarios"]
