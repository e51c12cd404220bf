"""Health of a sensor: counts of its readings by what became of them, and the verdict from these."""

import dataclasses

VERDICTS = ("ok", "held", "no evidence", "silent", "stuck", "saturated", "clock off", "late", "spiking", "noisy")
"""From best to worst. "held": the quantity is at rest and the sensor repeats it; "no evidence": an echo or a channel that is not modelled;
"saturated": the sensor is at the end of its range; "late": its readings arrive too late to be used."""

FAULTS = ("stuck", "saturated")
"""Runs of equal readings that carry no information on the quantity."""

SPIKING_FRACTION = 0.2
"""Recent fraction of outliers from which a sensor is spiking."""
NOISY_MEAN_SQUARE = 3.0
"""Recent mean square of normalised innovations from which a sensor is noisier than its table says."""
SILENT_PERIODS = 5.0
"""Periods without a reading after which a periodic sensor is silent."""
MIN_READINGS = 30
"""Readings needed for a verdict on scatter."""


@dataclasses.dataclass
class Health:
    """Counts by what became of readings (``stuck``: those of a stuck or saturated sensor); ``outlier_fraction`` and
    ``mean_square`` are running means over the last hundred or so."""

    used: int = 0
    ignored: int = 0
    outlier: int = 0
    stuck: int = 0
    not_a_number: int = 0
    invalid: int = 0
    late: int = 0
    future: int = 0
    repeated: int = 0
    heard: int | None = None
    """Time (ns) of the newest reading."""
    outlier_fraction: float = 0.0
    mean_square: float = 1.0
    innovations: int = 0
    standing: str = ""
    """Verdict on the current run of equal readings: "held", one of `FAULTS`, or none."""

    @property
    def seen(self) -> int:
        """All readings, without those sent twice."""
        return (
            self.used
            + self.ignored
            + self.outlier
            + self.stuck
            + self.not_a_number
            + self.invalid
            + self.late
            + self.future
        )

    def add_innovations(self, mean_square: float, outlier_fraction: float, count: int) -> None:
        """Add ``count`` readings with the ``mean_square`` of their normalised innovations (without outliers) and their ``outlier_fraction``."""
        keep = 0.99**count
        self.mean_square = keep * self.mean_square + (1 - keep) * mean_square
        self.outlier_fraction = keep * self.outlier_fraction + (1 - keep) * outlier_fraction
        self.innovations += count

    def verdict(self, now: int | None = None, rate: float = 0.0, since: int | None = None) -> str:
        """One of `VERDICTS`, at time ``now`` (ns) for a sensor that reports ``rate`` times a second (0: not periodically), followed since ``since``."""
        heard = self.seen
        if self.ignored and not (self.used or self.outlier or self.stuck):
            return "no evidence"
        last = since if self.heard is None else self.heard
        overdue = (
            now is not None and last is not None and rate > 0 and (now - last) * 1e-9 * rate > SILENT_PERIODS + 2 * rate
        )
        if overdue or (self.heard is None and not heard):
            return "silent" if overdue or now is None or since is None or rate == 0 else "ok"
        if not heard:
            return "ok"  # its readings are not settled yet
        if self.standing in FAULTS:
            return self.standing
        if self.future > 0.5 * heard:
            return "clock off"
        if self.late > 0.5 * heard:
            return "late"
        if self.not_a_number > SPIKING_FRACTION * heard or (
            self.innovations >= MIN_READINGS and self.outlier_fraction > SPIKING_FRACTION
        ):
            return "spiking"
        if self.innovations >= MIN_READINGS and self.mean_square > NOISY_MEAN_SQUARE:
            return "noisy"
        return self.standing or "ok"
