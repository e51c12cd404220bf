"""Power of tests at settings of the instrument that there may be, each as likely and known by the time of the test: fitted to the columns recorded alike."""

from collections.abc import Callable, Sequence

import numpy as np

from learn.information.detection import Signature, Tests
from learn.information.doses import dose_at


class AveragedTests:
    """Tests of the ``signatures`` that one change has at several settings, compared with ``references`` columns as in `Tests`.

    ValueError without signatures, or for negative rates.
    """

    def __init__(self, signatures: Sequence[Signature], references: int = 0):
        if not signatures:
            raise ValueError("no signature is given; give one for each setting")
        self.each = tuple(Tests(signature, references) for signature in signatures)

    def known(self, *nuisances: int) -> "AveragedTests":
        """The same tests with some nuisances known exactly."""
        return self._with(lambda tests: tests.known(*nuisances))

    def certain(self) -> "AveragedTests":
        """The same tests without the chance of halves."""
        return self._with(Tests.certain)

    def power(self, dose: float, false_alarms: float, tests: int = 1) -> float:
        """Probability of detection at ``dose`` electrons, averaged over the settings."""
        return float(np.mean([each.at(dose).power(false_alarms, tests) for each in self.each]))

    def dose(self, power: float, false_alarms: float, tests: int = 1) -> float:
        """The electrons at which the change is detected with ``power``; inf where none suffice."""
        return dose_at(lambda electrons: power - self.power(electrons, false_alarms, tests))

    def _with(self, change: Callable[[Tests], Tests]) -> "AveragedTests":
        other = object.__new__(AveragedTests)
        other.each = tuple(change(each) for each in self.each)
        return other


def dose_for(signature: Signature, power: float, false_alarms: float, references: int = 0, tests: int = 1) -> float:
    """The electrons at which the change is detected with ``power``; inf where none suffice (the model's error outweighs the change)."""
    return AveragedTests([signature], references).dose(power, false_alarms, tests)
