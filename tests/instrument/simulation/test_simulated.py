"""The simulated microscope as an instrument: repeatability, hypothetical commands, sensor faults, refusals."""

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from instrument.core.interface import InstrumentError
from instrument.simulation.instrument import ExpectedRequest, SimulatedConfig, SimulatedMicroscope, TruthSession
from instrument.simulation.truth.column.column import Column
from instrument.simulation.truth.imaging.oracle import expected_frame
from tests.once import run_folder
from twin.channels import CHANNELS
from twin.records import Readings, Scan

TINY = SimulatedConfig(repeats_xy=2, cells=2, wedge_swing=1.0, gpts=96, phonon_configs=1, slices_per_cell=3)
SECOND = 1_000_000_000
SCAN = Scan(shape=(12, 10))


@pytest.fixture(scope="module")
def cache():
    return run_folder("specimens")


def start(cache, seed: int = 0, **options) -> SimulatedMicroscope:
    return SimulatedMicroscope(replace(TINY, specimen_seed=0, **options), seed, cache)


def short_session(microscope: SimulatedMicroscope) -> tuple[list, list]:
    """A little session: stage moves, lens steps, shifts, frames. Returns its frames and the commands given."""
    frames, commands = [], []

    def give(name, **arguments):
        commands.append((name, arguments, microscope.now()))
        return getattr(microscope, name)(**arguments)

    give("apply", changes={"C10": 80.0})
    frames.append(give("acquire", scan=SCAN))
    give("advance", until=microscope.now() + 7 * SECOND)
    give("apply", changes={"stage.x": 5e4, "stage.y": -2e4})
    give("apply", changes={"C10": -40.0, "C12.a": 10.0, "beam_shift.x": 12.0})
    frames.append(give("acquire", scan=SCAN))
    give("advance", until=microscope.now() + 40 * SECOND)
    frames.append(give("acquire", scan=SCAN))
    return frames, commands


def joined(batches: list[Readings]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sequence numbers, times and values of each channel."""
    out = {}
    for name in {batch.channel for batch in batches}:
        mine = [batch for batch in batches if batch.channel == name]
        numbers = np.concatenate([batch.first + np.arange(len(batch.values)) for batch in mine])
        out[name] = (numbers, np.concatenate([b.times for b in mine]), np.concatenate([b.values for b in mine]))
    return out


def test_same_seed_same_session_other_seed_another(cache):
    (first, _), (same_seed, _), (other_seed, _) = (short_session(start(cache, seed)) for seed in (3, 3, 4))
    for a, b in zip(first, same_seed, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        assert (a.start, a.sequence, a.settings, a.exposure) == (b.start, b.sequence, b.settings, b.exposure)
    assert not np.array_equal(first[0].data, other_seed[0].data)
    assert [frame.sequence for frame in first] == [0, 1, 2]


def test_readings_do_not_depend_on_when_they_are_asked_for(cache):
    single, in_steps = start(cache), start(cache)
    end = single.now() + 45 * SECOND
    single.advance(end)
    readings, parts = joined(single.readings()), []
    while in_steps.now() < end:
        in_steps.advance(min(end, in_steps.now() + 730_000_001))
        parts.extend(in_steps.readings())
        in_steps.truth.state([end + 3600 * SECOND])  # looking far ahead must not disturb the paths
    parts = joined(parts)
    assert readings.keys() == parts.keys()
    for name in readings:
        for a, b in zip(readings[name], parts[name], strict=True):
            np.testing.assert_array_equal(a, b)


def test_readings_are_well_formed_and_poor(cache):
    microscope = start(cache, 5)
    microscope.advance(microscope.now() + 300 * SECOND)
    microscope.apply({"C10": 100.0, "stage.x": 1e5})
    microscope.advance(microscope.now() + 300 * SECOND)
    read = joined(microscope.readings())
    assert len(CHANNELS) >= 24
    assert all(0.1 <= channel.rate <= 100 for channel in CHANNELS)
    lost, offsets = 0, []
    for channel in CHANNELS:
        numbers, times, values = read[channel.name]
        assert times.dtype == np.int64
        assert values.dtype == np.float64
        assert np.all(np.diff(numbers) > 0)
        assert np.all(np.diff(times) > 0)
        assert times.max() < microscope.now()
        assert 604 * channel.rate - 4 - 0.1 * channel.rate <= numbers[-1] <= 604 * channel.rate
        assert channel.kind == "last-measured" or np.all(np.isfinite(values))
        lost += numbers[-1] - numbers[0] + 1 - len(numbers)
        taken_at = (numbers + microscope._sensors._phase[channel.name]) / channel.rate
        offsets.append(np.median((times - microscope._epoch) / 1e9 - taken_at))
    total = sum(read[channel.name][0][-1] + 1 for channel in CHANNELS)
    assert 0.015 < lost / total < 0.025
    assert 1 <= np.sum(np.abs(np.array(offsets) + 0.5) < 1e-3) <= 2  # one source's clock is half a second behind
    assert np.all(np.sort(np.abs(offsets))[:-2] < 0.03)
    assert np.std(offsets) > 0.003
    assert set(np.unique(read["C10.commanded"][2])) == {0.0, 100.0}
    offset = np.median(read["gun.high_tension"][2]) / 200e3 - 1
    assert 5e-4 < abs(offset) < 5e-3  # the divider's bias, far above the real deviation
    truth = microscope.truth.state([microscope.now()])
    assert 100 < abs(truth["x"][0] - np.median(read["stage.x"][2][-100:])) < 2e4
    field = read["field.x"][2]
    assert np.std(field) > 5 * 2e-9


def test_no_tableau_no_corrector_values(cache):
    microscope = start(cache, tableau_age=None)
    microscope.advance(microscope.now() + 30 * SECOND)
    read = joined(microscope.readings())
    assert np.all(np.isnan(read["corrector.C30"][2]))


def test_what_was_asked_about_is_what_is_recorded(cache):
    microscope = start(cache, 6)
    frames, commands = short_session(microscope)
    effect = [microscope._epoch + round(t * 1e9) for t in microscope._log.times]
    for frame, command_time in zip(
        frames, (effect[1], effect[3], frames[2].start - round(SCAN.settle * 1e9)), strict=True
    ):
        request = {"command_time": command_time, "settings": frame.settings, "scan": SCAN, "noisy": True}
        ((expected, noisy),) = microscope.truth.expected([request])
        actual, electrons = expected_of(microscope, frame)
        np.testing.assert_allclose(expected, actual, rtol=1e-9)
        gain, black = microscope.truth.facts()["gain"], microscope.truth.state([frame.start])["black"][0]
        sigma = np.hypot(gain * np.sqrt(electrons[:, None] * expected), TINY.readout)
        assert noisy is not None
        for data in (frame.data, noisy):
            chi2 = (((data - black - gain * electrons[:, None] * expected) / sigma) ** 2).mean()
            assert 0.6 < chi2 < 1.5
        assert not np.array_equal(noisy, frame.data)
    assert len(commands) == 8


def expected_of(microscope: SimulatedMicroscope, frame) -> tuple[np.ndarray, np.ndarray]:
    """The expected frame and electrons a line, for the commands as they were really given."""
    seconds = (frame.start - microscope._epoch) / 1e9
    return expected_frame(microscope._column, microscope._imager, microscope._log.until(seconds), seconds, frame.scan)


def test_asking_what_if_needs_no_command_and_changes_nothing(cache):
    hypothetical, commanded = start(cache, 7), start(cache, 7)
    for microscope in (hypothetical, commanded):
        microscope.apply({"C10": 120.0})
        microscope.advance(microscope.now() + 20 * SECOND)
    changes = {"C10": -150.0, "C12.b": 20.0, "stage.x": 3e4}
    command_time = commanded.apply(changes)
    frame = commanded.acquire(SCAN)
    request = ExpectedRequest(command_time, changes, SCAN)
    ((what_if, _),) = hypothetical.truth.expected([request])
    ((expected, _),) = commanded.truth.expected([request])
    np.testing.assert_allclose(what_if, expected, rtol=1e-9)
    np.testing.assert_allclose(what_if, expected_of(commanded, frame)[0], rtol=1e-9)
    ((unchanged, _),) = hypothetical.truth.expected([ExpectedRequest(command_time, {}, SCAN)])
    assert np.abs(unchanged - what_if).max() > 0.1 * what_if.mean()
    assert hypothetical.settings() == {**dict.fromkeys(hypothetical.settings(), 0.0), "C10": 120.0}
    hypothetical.apply(changes)
    np.testing.assert_array_equal(hypothetical.acquire(SCAN).data, frame.data)


def test_focus_follows_a_step_with_a_lag(cache):
    microscope = start(cache, 8, lens_play=0.0)
    command_time = microscope.apply({"C10": 400.0})
    times = command_time + np.array([0.01, 8.0, 40.0, 300.0]) * 1e9
    step = microscope.truth.state(times.astype(np.int64))["C10"]
    undisturbed = start(cache, 8).truth.state(times.astype(np.int64))["C10"]
    gain = microscope.truth.facts()["lens_gain.C10"]
    missing = (gain - 1) * 400.0 - (step - undisturbed)
    elapsed = (times - command_time) / 1e9
    expected = gain * 400.0 * (0.03 * np.exp(-elapsed / 8) + 0.02 * np.exp(-elapsed / 40))
    np.testing.assert_allclose(missing, expected, rtol=1e-6)


def test_focus_remembers_the_side_it_came_from(cache):
    actual = []
    for side in (-100.0, 100.0):
        microscope = start(cache, 8)
        microscope.apply({"C10": side})
        microscope.advance(microscope.now() + 10 * SECOND)
        microscope.apply({"C10": 0.0})
        microscope.advance(microscope.now() + 600 * SECOND)
        actual.append(microscope.truth.state([microscope.now()])["C10"][0])
    gain = microscope.truth.facts()["lens_gain.C10"]
    assert actual[1] - actual[0] == pytest.approx(2 * 2.0 * gain, rel=1e-3)


def test_restored_it_goes_on_as_if_it_had_never_stopped(cache):
    microscope, restored = start(cache, 9), start(cache, 9)
    _, commands = short_session(microscope)
    microscope.readings()
    assert restored.restore(commands) == microscope.now()
    assert restored.settings() == microscope.settings()
    for instrument in (microscope, restored):
        instrument.apply({"C10": 30.0})
        instrument.advance(instrument.now() + 5 * SECOND)
    readings, restored_readings = joined(microscope.readings()), joined(restored.readings())
    for name in readings:
        np.testing.assert_array_equal(readings[name][2], restored_readings[name][2])
        np.testing.assert_array_equal(readings[name][0], restored_readings[name][0])
    frame, same = microscope.acquire(SCAN), restored.acquire(SCAN)
    np.testing.assert_array_equal(frame.data, same.data)
    assert frame.sequence == same.sequence
    with pytest.raises(ValueError, match="already"):
        restored.restore(commands)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"C10": float("nan")}, "C10"),
        ({"C10": 5.0, "C12.a": 501.0}, "out of range"),
        ({"C10": 5.0, "focus": 1.0}, "no control 'focus'"),
        ({"C10": "5"}, "not a finite number"),
    ],
)
def test_bad_commands_are_refused_and_change_nothing(cache, changes, problem):
    microscope = start(cache)
    initial = (microscope.settings(), microscope.now())
    with pytest.raises(InstrumentError, match=problem) as caught:
        microscope.apply(changes)
    assert caught.value.cure
    assert (microscope.settings(), microscope.now()) == initial


@pytest.mark.parametrize(
    ("scan", "problem"),
    [
        (Scan(shape=(0, 16)), "shape"),
        (Scan(shape=(16, 513)), "shape"),
        (Scan(pixel=float("nan")), "pixel"),
        (Scan(dwell=0.0), "dwell"),
        (Scan(flyback=-1e-3), "flyback"),
        (Scan(dose=2e6), "above the limit"),
        (Scan(dose=float("inf")), "dose"),
        (Scan(detector="EELS"), "EELS"),
        (Scan(shape=(512, 512), dwell=1.0), "dwell"),
        (Scan(dwell=1e-12), "of beam"),
    ],
)
def test_bad_scans_are_refused_and_expose_nothing(cache, scan, problem):
    microscope = start(cache)
    initial = microscope.now()
    with pytest.raises(InstrumentError, match=problem):
        microscope.acquire(scan)
    assert microscope.now() == initial
    assert microscope.acquire(SCAN).sequence == 0


def test_a_frame_takes_its_time_and_its_electrons(cache):
    microscope = start(cache)
    initial = microscope.now()
    scan = Scan(shape=(8, 6), dwell=1e-3, flyback=2e-3, settle=0.5, dose=2e4)
    frame = microscope.acquire(scan)
    assert frame.start - initial == SECOND // 2
    assert microscope.now() - frame.start == pytest.approx(8 * (6e-3 + 2e-3) * 1e9)
    current = 2e4 * scan.pixel**2 / 1e-3
    assert frame.exposure.pixels == pytest.approx(48 * 2e4 * scan.pixel**2)
    assert frame.exposure.flyback == pytest.approx(8 * 2e-3 * current)
    assert frame.exposure.settle_dose == pytest.approx(0.02 * current)
    assert frame.data.shape == (8, 6)
    assert frame.data.dtype == np.float32


def test_a_blanked_scan_costs_the_electrons_of_its_pixels_and_records_the_same(cache):
    scan = Scan(shape=(8, 6), dwell=1e-3, flyback=2e-3, settle=0.5, dose=2e4)
    plain, blanked = (start(cache).acquire(replace(scan, blanked=on)) for on in (False, True))
    assert (blanked.exposure.flyback, blanked.exposure.settle_dose) == (0.0, 0.0)
    assert blanked.exposure.pixels == plain.exposure.pixels
    assert blanked.start == plain.start
    assert np.array_equal(blanked.data, plain.data)


def test_without_a_fast_blanker_a_blanked_scan_is_refused(cache):
    microscope = SimulatedMicroscope(replace(TINY, specimen_seed=0, blanker=False), 0, cache)
    assert not microscope.describe().blanker
    with pytest.raises(InstrumentError, match="no fast beam blanker"):
        microscope.acquire(replace(SCAN, blanked=True))
    assert start(cache).describe().blanker


def test_the_clock_is_stepped_or_runs(cache):
    microscope = start(cache)
    initial = microscope.now()
    assert microscope.advance(initial - SECOND) == initial
    moved = microscope.apply({"stage.x": 100.0})
    assert moved - initial == 4 * SECOND
    assert microscope.apply({"stage.x": 100.0, "C10": 1.0}) == moved  # already there
    running = SimulatedMicroscope(replace(TINY, specimen_seed=0), 0, cache, rate=1000.0)
    first = running.now()
    time.sleep(0.02)
    assert running.now() - first >= 20 * SECOND
    assert running.describe().clock == "running"


def test_drifts_are_no_slower_than_asked_for():
    """Over 40 seeds: C10 0.3 and C12 0.2 nm per root second, the specimen at 0.2 A/s, turning over minutes."""
    config, t = SimulatedConfig(), np.arange(0.0, 1200.0, 10.0)
    moves = {"C10": [], "C12.a": [], "C12.b": []}
    speeds, turned = [], []
    for seed in range(40):
        paths = Column(config, seed, seed).paths
        moves["C10"].append(np.diff(paths.value("C10.walk", t)))
        for name in ("C12.a", "C12.b"):
            moves[name].append(np.diff(paths.value(name, t)))
        step = np.diff(np.stack([paths.value("drift.x", t), paths.value("drift.y", t)], axis=1), axis=0)
        speeds.append(np.hypot(*step.T).mean() / 10)
        unit = step / np.hypot(*step.T)[:, None]
        turned.append((unit[18:] * unit[:-18]).sum(axis=1).mean())  # three minutes apart
    for name, least in (("C10", 3.0), ("C12.a", 2.0), ("C12.b", 2.0)):
        rate = np.sqrt(np.mean(np.square(moves[name])) / 10)
        assert rate == pytest.approx(least, rel=0.04)  # 4760 increments: 1 % of sampling error
    assert np.mean(speeds) == pytest.approx(0.2, rel=0.05)
    assert -0.2 < np.mean(turned) < 0.6


def test_after_a_stage_move_the_specimen_is_tenths_of_a_micron_away(cache):
    errors, phases = [], []
    for seed in range(12):
        microscope = start(cache, seed)
        arrival = microscope.apply({"stage.x": 2e4})
        microscope.apply({"stage.x": 1e4})
        state = microscope.truth.state([arrival, microscope.now()])
        errors.extend(np.hypot(state["x"] - [2e4, 1e4], state["y"]))
        phases.extend(state["x"] % 3.905)
        assert np.all((state["thickness"] >= 3.9) & (state["thickness"] <= 11.8))
    assert 500 < np.mean(errors) < 6000
    assert np.std(phases) > 0.8  # uniform on the cell would be 1.13


def test_a_truth_session_hides_what_the_microscope_hides(cache):
    options: dict[str, Any] = {
        "mode_heat": 2.0,
        "lens_plays": ((100.0, 0.1),),
        "holder_drift": (0.3, 0.1),
        "emission_decay": 0.2,
    }
    options |= {"beam_follows": 0.5, "delay_max": 1.0, "stuck_count": 1, "creep_share": 1e-3}
    microscope, session = start(cache, 3, **options), TruthSession(replace(TINY, specimen_seed=0, **options), 3)
    changes = [
        {"C10": 70.0, "stage.x": 3e4},
        {"C10": 0.0, "C10.zero": 70.0},
        {"holder.temperature": 350.0, "flash": 1.0},
    ]
    for change in changes:
        microscope.advance(microscope.now() + 9 * SECOND)
        seconds = (microscope.now() - microscope._epoch) / 1e9
        effect = microscope.apply(change)
        assert session.apply(seconds, change) == pytest.approx((effect - microscope._epoch) / 1e9)
    microscope.advance(microscope.now() + 30 * SECOND)
    t = np.linspace(0.0, (microscope.now() - microscope._epoch) / 1e9, 40)
    hidden = microscope.truth.state(np.round(t * 1e9).astype(np.int64) + microscope._epoch)
    state = session.state(session.names(), t, vibration=True)
    commanded = session.log.commanded("C10", t)
    for name, value in (
        ("C10", hidden["C10"] + commanded), ("C30", hidden["C30"]), ("specimen.x", hidden["x"]), ("specimen.y", hidden["y"]),
        ("lagged", hidden["temperature.lagged"]), ("beam", hidden["dose_factor"]), ("black", hidden["black"]),
        ("coil", hidden["temperature.coil"] - hidden["temperature.coil"][0]), ("HT", hidden["high_tension.ppm"]),
    ):  # fmt: skip
        np.testing.assert_allclose(state[name], value, rtol=1e-6, atol=1e-6)
    read, same = joined(microscope.readings()), joined(session.published(t[-1]))
    assert read.keys() == same.keys()
    for name in read:
        np.testing.assert_array_equal(read[name][0], same[name][0])
        np.testing.assert_allclose(read[name][2], same[name][2], rtol=1e-9)


def test_times_before_the_session_are_refused(cache):
    microscope = start(cache)
    with pytest.raises(ValueError, match="before the session"):
        microscope.truth.state([microscope.now() - SECOND])
    with pytest.raises(ValueError, match="unknown controls"):
        microscope.truth.expected([{"command_time": microscope.now(), "settings": {"focus": 1.0}}])


def test_the_process_needs_neither_jax_nor_abtem_until_it_builds():
    code = "import sys, instrument.simulation.instrument; print(sorted({'jax', 'abtem', 'ase', 'equinox'} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
