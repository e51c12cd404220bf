"""A corrector's set values with an age: variances grow as those of a random walk, and without a tableau values are unknown."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.twin.column.columns import REST, TABLE, column, settings
from twin.column.column import Column
from twin.column.elements import Corrector
from twin.column.settings import Settings
from twin.column.table import ColumnTable, read_column
from twin.optics.aberrations import NAMES, index

CORRECTED = Path(TABLE).with_name("generic-300-corrected.toml")
LEFT = {"corrector.C12.a": 20.0, "corrector.C12.b": -15.0, "corrector.C30": -3e4}


def corrected() -> ColumnTable:
    return read_column(CORRECTED.read_text())


def corrected_settings(age: float | None, left: dict[str, float] = LEFT, **changes: float) -> Settings:
    """Settings with the set values of a corrector, tuned ``age`` seconds ago."""
    plain = settings(**changes)
    return Settings(plain.high_tension, {**plain.controls, **left}, age)


def test_variance_is_that_of_the_tableau_and_grows_linearly_with_its_age():
    twin = Column(corrected())
    (corrector,) = twin.table.of(Corrector)
    ages = (0.0, 60.0, 600.0, 7200.0)
    variances = np.array([twin.aberrations(corrected_settings(age), "probe").variance for age in ages])
    for name, tableau_std in corrector.after_tableau_nm.items():
        walk = corrector.walk_nm.get(name, 0.0)
        for row in (row for row, coefficient in enumerate(NAMES) if coefficient[:3] == name):
            np.testing.assert_allclose(variances[:, row], [100.0 * (tableau_std**2 + walk**2 * age) for age in ages])
    rates = np.diff(variances, axis=0) / np.diff(ages)[:, None]
    np.testing.assert_allclose(rates, np.broadcast_to(rates[0], rates.shape), rtol=1e-9)
    assert rates[0, index("C30")] > 0.0
    assert variances[:, index("C50")].max() == 0.0  # not in the table


def test_a_random_walk_drawn_step_by_step_has_that_variance():
    twin = Column(corrected())
    (corrector,) = twin.table.of(Corrector)
    generator, age, steps = np.random.default_rng(0), 900.0, 30
    walks = (
        10.0 * corrector.walk_nm["C12"] * math.sqrt(age / steps) * generator.standard_normal((20000, steps)).sum(axis=1)
    )
    ends = LEFT["corrector.C12.a"] + 10.0 * corrector.after_tableau_nm["C12"] * generator.standard_normal(20000) + walks
    mean, std = twin.aberrations(corrected_settings(age), "probe").value("C12a")
    assert mean == 20.0
    assert ends.std() == pytest.approx(std, rel=0.02)
    # a belief that did not age would be wrong by more than that
    assert abs(ends.std() / twin.aberrations(corrected_settings(0.0), "probe").value("C12a")[1] - 1.0) > 0.05


def test_set_values_replace_the_lens_and_stigmators_add():
    twin = Column(corrected())
    plain, stigmated = (twin.aberrations(corrected_settings(60.0, a=value), "probe") for value in (0.0, 1e-3))
    assert plain.value("C30")[0] == -3e4
    assert plain.value("C12a")[0] == 20.0
    assert plain.value("C21a")[0] == 0.0
    bare = column()
    added = float(bare.optics(settings(a=1e-3)).twofold[0])
    assert added != 0.0
    assert stigmated.value("C12a")[0] == pytest.approx(20.0 + added)
    # C10 is the lenses', which the corrector only makes less sure
    assert plain.value("C10")[0] == pytest.approx(float(bare.optics(settings()).crossover))
    assert plain.value("C10")[1] > 0.0
    # an uncorrected column has the aberrations of its lenses
    lens = bare.aberrations(settings(), "probe")
    assert lens.value("C30") == (pytest.approx(float(bare.optics(settings()).spherical[0])), 0.0)
    assert lens.value("C30")[0] > 1e6
    assert lens.unknown == ()


def test_without_a_tableau_set_values_are_unknown_and_not_zero():
    twin = Column(corrected())
    aberrations = twin.aberrations(corrected_settings(None), "probe")
    for name in ("C10", "C12a", "C12b", "C21a", "C23b", "C30", "C34a"):
        assert name in aberrations.unknown
        assert math.isnan(aberrations.value(name)[0])
        assert aberrations.value(name)[1] == math.inf
    assert "C50" not in aberrations.unknown
    assert math.isnan(float(twin.optics(corrected_settings(None)).probe_size))
    # the other side has no corrector, and no tableau is missing there
    image = twin.aberrations(corrected_settings(None), "image")
    assert image.unknown == ()
    assert image.value("C30")[0] == pytest.approx(float(column().optics(settings()).spherical[1]))


def test_an_unreported_set_value_is_unknown_alone():
    twin = Column(corrected())
    aberrations = twin.aberrations(corrected_settings(60.0, {"corrector.C30": -3e4}), "probe")
    assert aberrations.unknown == ("C12a", "C12b")
    assert aberrations.value("C30")[0] == -3e4
    lost = Settings(300e3, {**REST, **LEFT}, 60.0)  # no lens reported: its focus is not known either
    assert "C10" in twin.aberrations(lost, "probe").unknown


def test_a_corrected_probe_is_smaller_and_the_rays_are_the_same():
    twin, bare = Column(corrected()), column()
    optics, other = twin.optics(corrected_settings(60.0, C2=150e4)), bare.optics(settings(C2=150e4))
    assert float(optics.probe_size) < float(other.probe_size)
    for name in ("crossover", "semi_angle", "magnification", "camera_length", "image_rotation"):
        assert float(getattr(optics, name)) == pytest.approx(float(getattr(other, name)), rel=1e-9), name
    # the probe size does not depend on the sign of the residual
    opposite = twin.optics(corrected_settings(60.0, {**LEFT, "corrector.C30": 3e4}, C2=150e4))
    assert float(opposite.probe_size) == pytest.approx(float(optics.probe_size))


@pytest.mark.parametrize("age", [-1.0, math.nan, math.inf])
def test_an_invalid_age_is_refused(age):
    with pytest.raises(ValueError, match="tableau_age"):
        corrected_settings(age)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('side = "probe"', 'side = "left"', "probe or image"),
        ("C12 = 1.5", "A1 = 1.5", "speaks of A1"),
        ("C12 = 0.02", "C12 = -0.02", "give 0 or more"),
        ('C12a = "corrector', 'C12 = "corrector', "controls of probe corrector speak of C12"),
        (', C30 = "corrector.C30" }', " }", "no control of C30"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(old, new, words):
    text = CORRECTED.read_text()
    assert old in text
    with pytest.raises(ValueError, match=words):
        read_column(text.replace(old, new))


def test_the_corrected_table_is_the_generic_one_besides():
    bare, with_it = read_column(Path(TABLE).read_text()), corrected()
    others = [element for element in with_it.element if not isinstance(element, Corrector)]
    assert msgspec.to_builtins(others) == msgspec.to_builtins(bare.element)


def test_an_unknown_side_is_refused():
    with pytest.raises(ValueError, match="probe or image"):
        column().aberrations(settings(), "left")
