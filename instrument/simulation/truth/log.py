"""The log of commands of the simulated microscope."""

import bisect

import numpy as np

from instrument.core.commands import checked
from twin.channels import CONTROLS


class Log:
    """Commands in order of time: (session time in s, all settings from then on). The first entry is the session's
    start.
    """

    def __init__(self, times: list[float], settings: list[dict[str, float]]):
        self.times, self.settings = times, settings

    @classmethod
    def at_start(cls) -> "Log":
        """The log of a session that has just begun: every control at zero."""
        return cls([0.0], [{control.name: 0.0 for control in CONTROLS}])

    def until(self, t: float) -> "Log":
        """The commands strictly before ``t`` (the session's start always)."""
        count = max(1, bisect.bisect_left(self.times, t))
        return Log(self.times[:count], self.settings[:count])

    def add(self, t: float, settings: dict[str, float]) -> None:
        self.times.append(t)
        self.settings.append(dict(settings))

    def entry(self, t: np.ndarray) -> np.ndarray:
        """Which entry holds at times ``t``."""
        return np.maximum(np.searchsorted(np.asarray(self.times), t, side="right") - 1, 0)

    def values(self, name: str) -> np.ndarray:
        """What ``name`` was commanded to be in each entry."""
        return np.array([settings[name] for settings in self.settings])

    def commanded(self, name: str, t: np.ndarray) -> np.ndarray:
        """What ``name`` was commanded to be at times ``t``."""
        return self.values(name)[self.entry(t)]

    def lens(self) -> np.ndarray:
        """The objective lens's command in each entry, in A of C10: displayed value plus zero."""
        return self.values("C10") + self.values("C10.zero")

    def raised(self, name: str) -> np.ndarray:
        """Whether each entry raised the counter ``name``."""
        return np.diff(self.values(name), prepend=np.inf) > 0

    def with_changes(self, changes: dict[str, float]) -> dict[str, float]:
        """All settings once ``changes`` are made to the last ones. InstrumentError for a change that cannot be made."""
        return self.settings[-1] | checked(changes, CONTROLS)

    def moves_stage(self, new_settings: dict[str, float]) -> bool:
        """Whether ``new_settings`` move the stage."""
        return any(new_settings[name] != self.settings[-1][name] for name in ("stage.x", "stage.y"))
