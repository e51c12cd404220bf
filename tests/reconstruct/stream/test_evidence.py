"""Log evidence that images add to a stream: that of a Gaussian, and the penalty of an uncommanded jump."""

import numpy as np
import pytest

from reconstruct.stream.observation import UNCOMMANDED_JUMP_PROBABILITY, Observation
from reconstruct.stream.stream import Stream
from tests.reconstruct.stream.instruments import SECOND, START, toy

MODEL = toy()


def evidence(far: float) -> tuple[float, int]:
    """Of one image after two seconds that sees C10 at ``far`` angstrom +- 2, and how many jumps it was taken for."""
    stream = Stream(MODEL, START)
    stream.observe(Observation("image", START + 2 * SECOND, ("C10",), np.array([far]), np.array([2.0])))
    stream.settle(START + 20 * SECOND)
    return stream.evidence, len(stream.events)


@pytest.mark.parametrize("far", [0.0, 20.0, 100.0])
def test_an_image_adds_what_a_gaussian_does(far):
    total = 30.0**2 + 0.5**2 * 2.0 + 2.0**2
    log_evidence, jumps = evidence(far)
    assert log_evidence == pytest.approx(-0.5 * (far**2 / total + np.log(total / 2.0**2)), abs=1e-9)
    assert jumps == 0


def test_an_uncommanded_jump_costs_evidence():
    """Else a fit makes the column quieter than it is and takes its wandering for jumps."""
    below, above = evidence(130.0), evidence(140.0)
    assert (below[1], above[1]) == (0, 1)
    assert above[0] <= below[0] + 0.5
    assert above[0] < np.log(UNCOMMANDED_JUMP_PROBABILITY)
