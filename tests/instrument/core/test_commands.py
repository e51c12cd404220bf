"""Values that controls take, and commands run again."""

from typing import Any

import pytest

from instrument.core.commands import checked, run_again
from instrument.core.interface import InstrumentError
from twin.channels import Control
from twin.records import Scan

CONTROLS = (Control("pixel.x", "1", 0.0, 7.0, ""), Control("C10", "angstrom", -50.0, 50.0, ""))


@pytest.mark.parametrize(
    ("changes", "whole", "message"),
    [
        ({"gun": 1.0}, False, "there is no control 'gun'. The controls are pixel.x, C10."),
        ({"C10": float("nan")}, False, "C10 = nan is not a finite number. Give a number in angstrom."),
        ({"C10": "5"}, False, "C10 = '5' is not a finite number. Give a number in angstrom."),
        ({"C10": True}, False, "C10 = True is not a finite number. Give a number in angstrom."),
        ({"pixel.x": float("inf")}, True, "pixel.x = inf is not a finite number. Give a number."),
        ({"pixel.x": 2.5}, True, "pixel.x = 2.5 is not a whole number. Give one from 0 to 7."),
        ({"pixel.x": 8.0}, True, "pixel.x = 8 is out of range. Give 0 to 7."),
        ({"C10": -51.0}, False, "C10 = -51 is out of range. Give -50 to 50 angstrom."),
    ],
)
def test_what_a_control_does_not_take(changes: dict[str, Any], whole: bool, message: str) -> None:
    with pytest.raises(InstrumentError) as refused:
        checked(changes, CONTROLS, whole)
    assert str(refused.value) == message


def test_what_controls_take_is_made_numbers() -> None:
    made = checked({"C10": 3, "pixel.x": 7.0}, CONTROLS)
    assert made == {"C10": 3.0, "pixel.x": 7.0}
    assert all(isinstance(value, float) for value in made.values())
    assert checked({"pixel.x": 2.5}, CONTROLS) == {"pixel.x": 2.5}


class Clock:
    """Notes what is done and when; a scan takes 5 ns, a change 1."""

    def __init__(self) -> None:
        self.now, self.done = 0, list[tuple[str, int]]()

    def apply(self, changes: dict[str, float]) -> int:
        self.done.append((f"apply {changes['C10']:g}", self.now))
        self.now += 1
        return self.now

    def advance(self, until: int) -> int:
        self.now = max(self.now, until)
        return self.now

    def scanned(self, scan: Scan) -> None:
        self.done.append((scan.detector, self.now))
        self.now += 5


def test_commands_are_run_again_at_their_times() -> None:
    clock = Clock()
    commands = [
        ("apply", {"changes": {"C10": 3.0}}, 10), ("seal", {}, 11), ("acquire", {"scan": {"detector": "HAADF"}}, 20), ("acquire", {"scan": Scan("ADF")}, 21),
        ("advance", {"until": 90}, 40),
    ]  # fmt: skip
    run_again(clock, commands, clock.scanned)
    # the second scan waits for the first; time goes on to where it was advanced to last
    assert clock.done == [("apply 3", 10), ("HAADF", 20), ("ADF", 25)]
    assert clock.now == 90
