"""Choice of the doses of a session: with how many electrons a request is measured, and which alignment images (defocus, exposure) are taken before it.

Where the beam cannot be blanked between the pixels, each image also costs electrons while the probe settles, so the information per electron grows with the
dwell time until drift and model error dominate. Where it can, images of low dose before most requests follow the drift with the fewest electrons.
An image near focus is sharp, but one at focus has no information about the sign of defocus. `learn.design.exposure_design` finds the optimum.
"""

import dataclasses

import msgspec
import numpy as np

from learn.design.decision import MIN_SAVING
from learn.design.exposure_design import (
    Measurement,
    Question,
    best_series,
    errors_of_measuring_all,
    gains,
    measurement,
)
from learn.design.lookahead import best_plan
from scenarios.acquire.dose_accounting import SHARES_OF_DOSE, Ledger, electrons_of
from scenarios.acquire.planning.linearization import Linearization
from scenarios.acquire.planning.requests import Request
from scenarios.acquire.scenario import Scenario
from scenarios.acquire.twin_session import TwinSession
from twin.records import Scan

DEFOCI = (-60.0, -40.0, -20.0, 10.0, 30.0, 50.0)
"""Candidate defocus values (angstrom) of alignment images, on both sides of focus."""
DWELLS = (1, 2)
"""Candidate dwell times, in units of that of a request, where the beam is on between the pixels."""
DOSES = (0.25, 0.5, 1.0)
"""Candidate doses, in units of that of a request, where it is not: then a short exposure costs nothing besides its pixels."""
CANDIDATES_WEIGHED = 5
"""Number of candidates, the best before the current request, that are also considered before the later ones."""
FIRST_SITE_WEIGHT = 1.5
"""Electrons of the first site relative to a later one: there the zeros and scales of optics and deflectors are estimated as well."""
HORIZON = 9
"""Number of requests planned together; comparing all plans doubles in cost with each."""
SLACK = 0.05
"""Seconds between the last line of an alignment image and the command of the request."""


class AlignmentPlanner:
    """Chooses doses and alignment images of a session, within its ``max_dose_share``; without one nothing is planned, without ``alignment`` no images.

    ``scan`` is that of a request, ``measuring`` the scans with which a request may be measured, of rising dose.
    """

    def __init__(
        self,
        twin_session: TwinSession,
        scenario: Scenario,
        scan: Scan,
        measuring: list[Scan],
        requests: list[Request],
        sites: int,
    ):
        self.twin_session, self.scenario, self.requests, self.sites = twin_session, scenario, requests, sites
        self.scan, scans = scan, candidate_scans(scan)
        defoci = DEFOCI if scenario.alignment else ()
        self.defoci = [defocus for defocus in defoci for _ in scans]
        self.scans = scans * len(defoci)
        self.measuring, self.cost = measuring, electrons_of(scan)
        self.lead = max(map(seconds_of, scans)) + SLACK

    @property
    def enabled(self) -> bool:
        return self.scenario.max_dose_share is not None

    @property
    def images(self) -> bool:
        """Whether alignment images may be taken."""
        return self.enabled and self.scenario.alignment > 0

    def before(
        self, request: Request, start: int, now: int, most: int, ledger: Ledger, forced: bool = False
    ) -> tuple[dict[str, float], Scan] | None:
        """Settings and scan of the alignment image to take at ``now`` (ns) before a request; None if its electrons are better used later.

        ``most`` requests may still be measured at this site; the session began at ``start`` (ns). ``forced``: return the candidate with the largest gain per
        electron in any case.
        """
        question = self._question(request, start, now, most, ledger)
        expected_gains = gains(question)
        order = np.argsort(-expected_gains)
        if forced:
            chosen = int(order[0])
        else:
            selected = order[:CANDIDATES_WEIGHED]
            series = best_series(_only(question, selected))
            if series.first is None:
                return None
            chosen = int(selected[series.first])
        return self._setting(request, chosen), self.scans[chosen]

    def measurement(self, request: Request, start: int, now: int, most: int, ledger: Ledger) -> tuple[float, Scan]:
        """Loss reduction from measuring this request, summed over it and the next at this site, compared with the best plan that answers it; and the scan
        with which it is measured.
        """
        if not self.enabled:
            return self._unlimited(request, most), self.measuring[-1]
        question = self._question(request, start, now, most, ledger)
        selected = np.argsort(-gains(question))[:CANDIDATES_WEIGHED]
        saved, dose = measurement(dataclasses.replace(_only(question, selected), passed=True))
        return saved, self.measuring[dose]

    def _unlimited(self, request: Request, most: int) -> float:
        """The loss reduction where only the number of measurements is limited, and all have the largest dose."""
        ahead = self.requests[request.index : request.index + 1 + min(request.followers, HORIZON - 1)]
        times = [max(int((request_ahead.seconds - request.seconds) * 1e9), 0) for request_ahead in ahead]
        settings = [self.twin_session.tuned(request_ahead.settings) for request_ahead in ahead]
        steps, _ = Linearization(self.twin_session).steps(settings, self.measuring[-1], times)
        return best_plan(self.twin_session.belief.covariance, steps, min(most, len(steps))).gain

    def note_measuring_all(self, request: Request, start: int, now: int, ledger: Ledger) -> None:
        """Add the errors expected from measuring every request at this site at each of `SHARES_OF_DOSE`, from the belief of ``now`` (ns)."""
        ahead = self.requests[request.index : request.index + 1 + request.followers]
        times = [max(start + int(request_ahead.seconds * 1e9) - now, 0) for request_ahead in ahead]
        settings = [self.twin_session.tuned(request_ahead.settings) for request_ahead in ahead]
        linearization = Linearization(self.twin_session)
        for number, share in enumerate(SHARES_OF_DOSE):
            scan = msgspec.structs.replace(self.scan, dose=self.scan.dose * share)
            steps, transitions = linearization.steps(settings, scan, times)
            ledger.all_measured[number] += errors_of_measuring_all(linearization.belief.covariance, steps, transitions)

    def _setting(self, request: Request, number: int) -> dict[str, float]:
        """Settings of an alignment image: its defocus, at the beam shift of the request, so that it also measures the error of the shift."""
        return {**request.settings, "C10": self.defoci[number]}

    def _question(self, request: Request, start: int, now: int, most: int, ledger: Ledger) -> Question:
        ahead = self.requests[request.index : request.index + 1 + min(request.followers, HORIZON - 1)]
        times = [max(start + int(request_ahead.seconds * 1e9) - now, 0) for request_ahead in ahead]
        linearization = Linearization(self.twin_session)
        settings = [self.twin_session.tuned(request_ahead.settings) for request_ahead in ahead]
        by_dose, transitions = [], []
        for scan in self.measuring:
            steps, transitions = linearization.steps(settings, scan, times, self.lead)
            by_dose.append(steps)
        costs = list(map(electrons_of, self.measuring))
        tuned = [
            [self.twin_session.tuned(self._setting(request_ahead, k)) for k in range(len(self.scans))]
            for request_ahead in ahead
        ]
        return Question(
            covariance=linearization.belief.covariance,
            steps=by_dose[-1],
            transitions=transitions,
            exposures=linearization.exposures(tuned, self.scans),
            cost=costs[-1],
            electrons=self._left(request, ledger),
            most=min(most, len(ahead)),
            price=MIN_SAVING * self.scenario.tolerance / self.cost,
            measurements=[
                [Measurement(s.information, s.floor_measured, c) for s, c in zip(doses, costs, strict=True)]
                for doses in zip(*by_dose, strict=True)
            ],
        )

    def _left(self, request: Request, ledger: Ledger) -> float:
        """Electrons that may still be spent at this site: what is left of all, less the share of each later site."""
        total = (self.scenario.max_dose_share or 0.0) * len(self.requests) * self.cost
        reserved = total / (self.sites - 1 + FIRST_SITE_WEIGHT) * (self.sites - 1 - request.site)
        return max(total - ledger.spent - reserved, 0.0)


def _only(question: Question, selected: np.ndarray) -> Question:
    """The question restricted to these alignment images."""
    return dataclasses.replace(question, exposures=[[row[index] for index in selected] for row in question.exposures])


def candidate_scans(scan: Scan) -> list[Scan]:
    """The exposures that an alignment image may have, from the ``scan`` of a request."""
    if scan.blanked:
        return [msgspec.structs.replace(scan, dose=scan.dose * share) for share in DOSES]
    return [exposed(scan, dwells) for dwells in DWELLS]


def exposed(scan: Scan, dwells: float) -> Scan:
    """The scan with a dwell time ``dwells`` times as long, at the same beam current."""
    return msgspec.structs.replace(scan, dwell=scan.dwell * dwells, dose=scan.dose * dwells)


def seconds_of(scan: Scan) -> float:
    """Seconds from the command of a scan to its last pixel."""
    ny, nx = scan.shape
    return scan.settle + ny * (nx * scan.dwell + scan.flyback)
