# SPDX-License-Identifier: Apache-2.0
"""Settings for all host tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Wall-clock limits per example say more about the machine than about the code.
settings.register_profile("teeio", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("teeio")
