# SPDX-License-Identifier: Apache-2.0
"""Checks: recorded, switched off singly, never a bare bool."""

from __future__ import annotations

from enum import Enum

import pytest

import teeio.platforms.catalogue  # noqa: F401  (registers every check)
from teeio.errors import LocalError
from teeio.platforms.common.checks import CheckSet, Outcome, Refused, all_checks, define
from teeio.platforms.common.iommu import ENABLED, STREAM, IommuReason


class Why(Enum):
    SO = "because"


def test_outcomes_are_recorded_with_their_reason() -> None:
    checks = CheckSet()
    assert checks.take(STREAM, True, IommuReason.STREAM) is None
    assert checks.take(STREAM, False, IommuReason.STREAM, "x") is IommuReason.STREAM
    assert [(t.outcome, t.reason, t.subject) for t in checks.taken] == [
        (Outcome.PASSED, "", ""), (Outcome.REFUSED, "STREAM", "x")]


def test_a_check_that_is_off_lets_pass_and_says_so() -> None:
    checks = CheckSet({"iommu.stream"})
    assert checks.take(STREAM, False, IommuReason.STREAM) is None
    checks.require(STREAM, False, IommuReason.STREAM)
    with pytest.raises(Refused) as refused:
        checks.require(ENABLED, False, IommuReason.DISABLED)
    assert refused.value.reason is IommuReason.DISABLED
    assert refused.value.check is ENABLED
    assert [t.outcome for t in checks.taken] == [Outcome.OFF, Outcome.OFF, Outcome.REFUSED]
    assert checks.taken[0].reason == "STREAM"  # what it would have said


def test_unknown_and_double_names_are_refused() -> None:
    with pytest.raises(LocalError, match="no check is called"):
        CheckSet({"iommu.streem"})
    with pytest.raises(LocalError, match="defined twice"):
        define("iommu.stream", "again", "nowhere")


def test_every_check_names_its_rule_and_its_source() -> None:
    checks = all_checks()
    assert len(checks) >= 35
    for check in checks:
        assert len(check.text) > 15 and check.clause, check.id
        assert check.id.split(".")[0] in {"port", "iommu", "pages", "tsm", "guest", "verb",
                                          "linux", "cove", "sev", "se"}
