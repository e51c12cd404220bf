"""Answers that are revised when a site is left: nearer to the truth of the simulated microscope, and only where images and model allow."""

import numpy as np
import pytest

from instrument.simulation.truth.imaging.oracle import ExpectedRequest
from learn.discrepancy.trust import Limits
from tests.scenarios.acquire.test_loop import TWO_REQUESTS, session
from twin.records import Scan

pytestmark = pytest.mark.slow

SITE = {"count": 8, "sites": 1, "duration": 100.0, "spacing": 1.0}


@pytest.mark.parametrize("policy", ["decide", "always"])
def test_answers_are_revised_with_the_later_images_of_their_site(tmp_path, policy):
    made = session(tmp_path / "s", policy=policy, requests=SITE, phonon_configs=4, max_measured_share=1.0)
    first, last = made["rows"], made["answers"]
    assert [row.payload["index"] for row in made["revised"]] == list(range(7))
    truth = made["instrument"].truth.expected(
        [ExpectedRequest(row.payload["command_ns"], row.payload["settings"], Scan(), False) for row in first]
    )

    def error(rows) -> float:
        answers = zip(rows, truth, strict=True)
        return float(np.mean([np.sqrt(((row.arrays["answer"] - frame) ** 2).mean()) for row, (frame, _) in answers]))

    assert error(last) < error(first)
    for before, after in zip(first[:-1], last[:-1], strict=True):
        np.testing.assert_array_equal(after.arrays["first_answer"], before.arrays["answer"])
        assert not np.array_equal(after.arrays["answer"], before.arrays["answer"])
    assert "first_answer" not in last[-1].arrays
    spread = [np.mean([row.arrays["answer_std"].mean() for row in rows[:-1]]) for rows in (first, last)]
    assert spread[1] < spread[0]


def test_without_images_or_trust_no_answer_is_revised(tmp_path):
    blind = session(tmp_path / "blind", policy="blind", requests=TWO_REQUESTS)
    distrusted = session(tmp_path / "distrusted", limits=Limits(misfit=-1e6), requests=TWO_REQUESTS, audit_share=0.0)
    assert blind["revised"] == distrusted["revised"] == []
