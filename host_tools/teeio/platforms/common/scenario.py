# SPDX-License-Identifier: Apache-2.0
"""Scenarios: registered functions with an id, what they need, and a verdict with its reason.

    @scenario("linux", "L2", Kind.NEGATIVE, "connect and disconnect with wrong arguments")
    def wrong_names(env: LinuxEnv) -> str:
        expect("connect of an unknown TSM", env.kernel.write(...), -Errno.EINVAL)
        return "five refusals, each with its errno"

A scenario returns what it has shown; it fails through `expect` and `refuses`, which compare the
*reason*, or by any `TsmError`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from teeio.errors import LocalError, TsmError
from teeio.platforms.common.checks import Refused
from teeio.platforms.common.machine import AnyMachine
from teeio.platforms.common.pages import AccessFault


class Kind(Enum):
    """What a scenario is for, in the short forms of the tables."""

    POSITIVE = "+"
    NEGATIVE = "-"
    ATTACK = "att"
    PARALLEL = "par"
    DISPATCHER = "disp"
    CONFORMANCE = "conf"


class Needs(enum.Flag):
    """What must be there before a scenario runs."""

    NOTHING = 0
    FRESH = enum.auto()
    """Begins with a device that is not connected; otherwise it is connected and idle."""
    TWO_DEVICES = enum.auto()
    TLPS = enum.auto()
    """A link, not only data objects."""


class Verdict(Enum):
    """How a scenario ended."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"


class PlatformEnv(Protocol):
    """What a platform gives to its scenarios, around one machine. Outlives scenarios."""

    @property
    def machine(self) -> AnyMachine:
        """The machine."""

    def establish(self, devices: int = 1) -> None:
        """Connect the first so many devices, if they are not connected."""

    def settle(self) -> None:
        """Back to connected or unconnected devices with nothing bound, all tables empty.

        Raises:
            TsmError: not possible without `start_over`.
        """

    def tear_down(self) -> None:
        """Disconnect every device that is connected."""

    def start_over(self) -> None:
        """Reset the devices and enumerate them again; nothing is connected then."""


class ScenarioFailed(TsmError):
    """A scenario did not show what it should."""


class ScenarioSkipped(TsmError):
    """A scenario cannot run here."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario.

    Attributes:
        id: as in the documentation: "L3".
        platform: "linux".
        title: one line.
        run: takes the platform's environment and returns what was shown.
    """

    id: str
    platform: str
    kind: Kind
    title: str
    needs: Needs
    run: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform.

    Attributes:
        id: for the command line.
        title: what it is.
        devices: how many devices it can use; scenarios that need two are skipped with one.
        make: environment around targets and a policy; targets are probed in `start_over`.
    """

    id: str
    title: str
    make: Callable[[list[Any], Any], PlatformEnv]


_SCENARIOS: dict[tuple[str, str], Scenario] = {}
_PLATFORMS: dict[str, Platform] = {}


def register_platform(platform: Platform) -> None:
    """Make a platform known.

    Raises:
        LocalError: the id is taken.
    """
    if platform.id in _PLATFORMS:
        raise LocalError(f"platform {platform.id} is registered twice")
    _PLATFORMS[platform.id] = platform


def platforms() -> list[Platform]:
    """All platforms imported so far."""
    return list(_PLATFORMS.values())


def platform_named(identity: str) -> Platform:
    """One platform.

    Raises:
        LocalError: there is none.
    """
    if identity not in _PLATFORMS:
        raise LocalError(f"no platform is called {identity!r}: see `teeio platform list`")
    return _PLATFORMS[identity]


def scenario(platform: str, identity: str, kind: Kind, title: str,
             needs: Needs = Needs.TLPS) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    """Register the function below."""
    def keep(run: Callable[[Any], str]) -> Callable[[Any], str]:
        if (platform, identity) in _SCENARIOS:
            raise LocalError(f"scenario {identity} of {platform} is registered twice")
        _SCENARIOS[platform, identity] = Scenario(identity, platform, kind, title, needs, run)
        return run
    return keep


def scenarios(platform: str | None = None) -> list[Scenario]:
    """Scenarios of one platform, or of all, in the order of their registration."""
    return [s for s in _SCENARIOS.values() if platform in (None, s.platform)]


# ---- what scenarios assert with ------------------------------------------------------------------
def expect(what: str, got: object, want: object) -> None:
    """Compare.

    Raises:
        ScenarioFailed: they differ.
    """
    if got != want:
        raise ScenarioFailed(f"{what}: {_show(got)}, not {_show(want)}")


@contextmanager
def refuses(what: str, reason: Enum) -> Iterator[None]:
    """The block must be refused (`Refused` or `AccessFault`) for exactly this reason.

    Raises:
        ScenarioFailed: it was not, or for another reason.
    """
    try:
        yield
    except (Refused, AccessFault) as error:
        expect(what, error.reason, reason)
        return
    raise ScenarioFailed(f"{what}: let through, not refused with {reason.name}")


@contextmanager
def raises(what: str, kind: type[TsmError], text: str = "") -> Iterator[None]:
    """The block must end with this class of error, `text` in its message.

    Raises:
        ScenarioFailed: it did not.
    """
    try:
        yield
    except kind as error:
        if text not in str(error):
            raise ScenarioFailed(f"{what}: {error}; expected {text!r}") from error
        return
    raise ScenarioFailed(f"{what}: no {kind.__name__}")


def _show(value: object) -> str:
    return value.name if isinstance(value, Enum) else repr(value)
