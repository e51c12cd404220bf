"""Tables of instruments: the shipped ones can be read, invalid ones are refused with a name, and all values are read."""

import importlib.resources
from pathlib import Path

import numpy as np
import pytest

import twin
from twin.sensors import Model, read_table

SHIPPED = sorted((Path(twin.__file__).parent / "tables").glob("*.toml"))

TEXT = """
schema = "emtwin.sensors/2"
name = "toy"
[[constant]]
name = "lag"
unit = "second"
value = 40.0
factor = 1.5
[[constant]]
name = "slope"
unit = "1"
value = 3.0
[[entry]]
name = "T"
unit = "kelvin"
mean = 0.5
std = 2.0
moves = { kind = "walk", rate = 0.03 }
[[entry]]
name = "U"
unit = "kelvin"
mean = -1.0
std = 1.0
moves = [{ kind = "follow", of = "T", time = "lag" }, { kind = "integrate", of = "T", gain = "-slope" }]
[[entry]]
name = "heat"
unit = "angstrom/kelvin"
mean = 20.0
std = 5.0
[[input]]
name = "lens"
kind = "commanded"
of = "lens.echo"
[[input]]
name = "play"
kind = "play"
of = "lens"
width = 5.0
[[reset]]
name = "focus"
shown = "lens"
actual = "lens"
tolerance = 1.0
[[jump]]
on = "lens"
entry = "T"
mean = "-slope"
[[sensor]]
channel = "coil"
unit = "kelvin"
kind = "measured"
rate = 2.0
expects = { T = 1.0, U = "-slope", "input:lens" = 0.1 }
noise = 0.02
quantisation = 0.01
valid = "lens.echo"
[[sensor]]
channel = "lens.echo"
unit = "angstrom"
kind = "echo"
[[quantity]]
name = "defocus"
unit = "angstrom"
terms = [
  { coefficient = 7.0 }, { input = "lens" }, { entry = "T", coefficient = "-slope" }, { entry = "T", times = "heat" },
  { entry = "U", times = "U", input = "lens", coefficient = 0.5 },
]
"""


def written(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1, old
    return TEXT.replace(old, new, 1)


def toy(**values: float) -> Model:
    return read_table(TEXT, "toy.toml").model(values)


def test_the_toy_is_read_as_written():
    model = toy()
    assert model.layout.names == ("T", "U", "heat")
    drift = model.dynamics.drift
    assert drift[1].tolist() == [1 / 40.0 - 3.0, -1 / 40.0, 0.0]
    assert model.dynamics.diffusion.tolist() == pytest.approx([0.03**2, 0.0, 0.0])
    assert model.rows.tolist() == [[1.0, -3.0, 0.0]]
    assert model.sensors[0].inputs == {"lens": 0.1}
    assert model.sensors[0].variance == pytest.approx(0.02**2 + 0.01**2 / 12)
    assert [sensor.channel for sensor in model.evidence] == ["coil"]
    assert set(model.sources) == {"coil", "lens"}
    assert model.jumps[0].mean == -3.0


# --- those that ship


def test_tables_ship_with_the_package():
    assert {"simulated.toml", "dens.toml", "protochips.toml", "thermo-healthmonitor.toml"} <= {
        path.name for path in SHIPPED
    }
    inside = importlib.resources.files("twin") / "tables" / "simulated.toml"
    assert inside.is_file()
    assert inside.read_text(encoding="utf-8") == SHIPPED[
        [path.name for path in SHIPPED].index("simulated.toml")
    ].read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_table_makes_a_model_that_can_be_moved_in_time(path):
    table = read_table(path.read_text(encoding="utf-8"), path.name)
    model = table.model()
    assert model.evidence
    assert model.rows.any(axis=1).all()
    for seconds in (1e-3, 0.5, 600.0):
        move, noise = model.dynamics.discretise(seconds)
        assert np.isfinite(move).all()
        assert np.isfinite(noise).all()
    assert all(sensor.unit for sensor in model.sensors)
    assert set(model.sources) == {sensor.source for sensor in model.sensors} | set(table.sources)


def test_every_constant_of_a_shipped_table_matters_and_has_a_prior():
    """A constant that nothing in the file uses is a slip of the pen."""
    for path in SHIPPED:
        table = read_table(path.read_text(encoding="utf-8"), path.name)
        for row in table.constant:
            assert (row.factor is None) != (row.std is None), (path.name, row.name)
            text = path.read_text(encoding="utf-8")
            assert f'= "{row.name}"' in text.replace(f'name = "{row.name}"', "") or f'"-{row.name}"' in text, row.name


# --- strict reading


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('unit = "kelvin"\nmean = 0.5', 'unit = "celsius"\nmean = 0.5', ["'T'", "'celsius' is not known", "use angstrom"]),
        ('unit = "kelvin"\nkind', 'unit = "degree"\nkind', ["'coil'", "'degree' is not known", "use angstrom"]),
        ('unit = "second"\nvalue', 'unit = "minute"\nvalue', ["'lag'", "'minute' is not known"]),
        ('channel = "lens.echo"\n', 'channel = "coil"\n', ["two sensors of one name (coil)", "give each a name"]),
        ('name = "slope"', 'name = "lag"', ["two constants of one name (lag)"]),
        ('name = "U"', 'name = "T"', ["two entries of one name (T)"]),
        ('name = "play"', 'name = "lens"', ["two inputs of one name (lens)"]),
        ('valid = "lens.echo"', 'vaild = "lens.echo"', ["unknown field `vaild`", "$.sensor[0]", "see the tables"]),
        ("rate = 0.03", "rat = 0.03", ["$.entry[0]", "see the tables"]),
        ('kind = "walk"', 'kind = "wander"', ["'wander'", "$.entry[0]"]),
        ('kind = "measured"', 'kind = "guessed"', ["'guessed'", "$.sensor[0]"]),
        ("mean = 0.5", 'mean = "0.5"', ["'0.5' is no constant", "the constants are lag, slope"]),
        ("rate = 2.0", 'rate = "2"', ["Expected `float`", "$.sensor[0].rate"]),
        ('"input:lens" = 0.1', '"input:lense" = 0.1', ["'coil'", "input 'lense'", "there are lens, play"]),
        ('valid = "lens.echo"', 'valid = "beam"', ["'coil'", "channel 'beam'", "there are coil, lens.echo"]),
        ('of = "lens.echo"', 'of = "lens.ech"', ["input 'lens'", "channel 'lens.ech'"]),
        ('kind = "play"\nof = "lens"', 'kind = "play"\nof = "lins"', ["input 'play'", "'lins'", "there are lens"]),
        ("width = 5.0", "width = 0.0", ["input 'play'", "width (play)", "above zero"]),
        ('shown = "lens"', 'shown = "display"', ["reset 'focus'", "input 'display'"]),
        ('on = "lens"', 'on = "lins"', ["jump of 'T'", "input 'lins'"]),
        ('{ entry = "T", times = "heat" }', '{ entry = "T", times = "head" }', ["'defocus'", "entry 'head'"]),
        ('{ input = "lens" }', '{ input = "lins" }', ["'defocus'", "input 'lins'"]),
        ('"-slope" }]', '"-sloppe" }]', ["'sloppe' is no constant", "the constants are lag, slope"]),
        ('kind = "echo"', 'kind = "echo"\nexpects = { T = 1.0 }', ["'lens.echo' is an echo", "no evidence", "no entry"]),
        ("noise = 0.02\nquantisation = 0.01", "", ["'coil' has no noise", "give noise or quantisation above zero"]),
        ("rate = 2.0", "rate = -2.0", ["'coil'", "rate = -2.0", "zero or more"]),
        ("rate = 2.0", "rate = nan", ["'coil'", "rate = nan"]),
        ("quantisation = 0.01", "quantisation = -0.01", ["'coil'", "quantisation = -0.01", "zero or more"]),
        ("value = 40.0", "value = 0.0", ["'U'", "time is 0.0", "above zero"]),
        ("value = 40.0", "value = -40.0", ["'U'", "time is -40.0", "above zero"]),
        ("rate = 0.03", "rate = -0.03", ["'T'", "rate is -0.03"]),
        ("mean = 0.5", "mean = nan", ["'T'", "nan", "finite"]),
        ("std = 2.0", "std = 0.0", ["'T'", "0.0", "positive"]),
        ("std = 2.0", "std = inf", ["'T'", "inf"]),
        ('schema = "emtwin.sensors/2"', 'schema = "emtwin.sensors/9"', ["'emtwin.sensors/9' is not known", "reads 'emtwin.sensors/2'"]),
        ('schema = "emtwin.sensors/2"', 'schema = "emtwin.sensors/1"', ["of emtwin 0.1", "emtwin.sensors/2", 'kind = "commanded"']),
        ('name = "toy"', "name = toy", ["not TOML", "line", "mend"]),
    ],
)  # fmt: skip
def test_invalid_rows_are_refused_with_file_row_and_cure(old, new, parts):
    with pytest.raises(ValueError) as caught:
        read_table(written(old, new), "mine.toml")
    message = str(caught.value)
    assert message.startswith("mine.toml: ")
    for part in parts:
        assert part in message


def refused(old: str, new: str, *parts: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_table(written(old, new), "mine.toml").model()
    for part in ("mine.toml", *parts):
        assert part in str(caught.value), str(caught.value)


def test_an_unknown_entry_is_named_with_the_sensor_that_expects_it():
    refused("expects = { T = 1.0", "expects = { Temp = 1.0", "'coil'", "'Temp'")


def test_an_unknown_entry_is_named_with_the_entry_that_follows_it():
    refused('of = "T", time', 'of = "Temp", time', "'U'", "'Temp'")


def test_a_negative_noise_is_refused():
    refused("noise = 0.02", "noise = -0.02", "'coil'", "noise")


@pytest.mark.parametrize("lag", ["-3.0", "nan"])
def test_a_lag_that_is_no_time_is_refused(lag):
    refused("noise = 0.02", f"noise = 0.02\nlag = {lag}", "'coil'", "lag")


@pytest.mark.parametrize(("old", "new"), [("rate = 2.0", "rate = 2.0\noffset = nan"), ("T = 1.0", "T = nan")])
def test_a_sensor_that_expects_not_a_number_is_refused(old, new):
    refused(old, new, "'coil'")


def test_a_play_of_a_play_is_refused():
    """Only commanded inputs have steps: a play or creep of another input would fail at its first use."""
    refused("[[reset]]", '[[input]]\nname = "again"\nkind = "play"\nof = "play"\nwidth = 1.0\n[[reset]]', "'again'")


def test_a_jump_on_an_input_that_is_not_commanded_is_refused():
    refused('on = "lens"', 'on = "play"', "'T'", "'play'")


# --- constants


def test_constants_can_be_given_other_values():
    model = toy(lag=10.0, slope=2.0)
    assert model.dynamics.drift[1].tolist() == [1 / 10.0 - 2.0, -1 / 10.0, 0.0]
    assert model.rows.tolist() == [[1.0, -2.0, 0.0]]
    assert model.jumps[0].mean == -2.0
    assert toy().rows.tolist() == [[1.0, -3.0, 0.0]]
    assert read_table(TEXT, "toy.toml").constants() == {"lag": 40.0, "slope": 3.0}


def test_a_constant_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"toy: there is no constant 'lagg'; the constants are lag, slope"):
        toy(lagg=3.0)
    with pytest.raises(ValueError, match=r"'U': its time is -1\.0; give a number above zero"):
        toy(lag=-1.0)


# --- a slow sensor


def test_a_lagged_sensor_is_an_entry_that_follows_its_expectation():
    """The response of a first-order lag to a step of T - 3 U, with the dynamics of T and U stopped."""
    still = TEXT.replace('moves = { kind = "walk", rate = 0.03 }', "")
    start = still.index("moves = [{ kind")
    still = still[:start] + still[still.index("\n", start) :]
    model = read_table(still.replace("noise = 0.02", "noise = 0.02\nlag = 5.0"), "toy.toml").model()
    assert model.layout.names == ("T", "U", "heat", "coil.lagged")
    assert model.parts == ("", "", "", "")
    entry = model.layout.entries[3]
    assert (entry.mean, entry.unit) == (0.5 + 3.0, "kelvin")
    assert entry.std == pytest.approx(np.hypot(2.0, 3.0))
    assert model.rows.tolist() == [[0.0, 0.0, 0.0, 1.0]]
    for seconds in (0.1, 5.0, 40.0):
        move, noise = model.dynamics.discretise(seconds)
        assert move[3] @ [2.0, 0.5, 7.0, 0.0] == pytest.approx((2.0 - 3 * 0.5) * (1 - np.exp(-seconds / 5.0)))
        assert move[3, 3] == pytest.approx(np.exp(-seconds / 5.0))
        assert np.abs(noise).max() < 1e-12


# --- quantities


def test_a_quantity_its_tangent_and_its_curvature():
    model, inputs = toy(), {"lens": 4.0, "play": 0.0}
    quantity, generator = model.quantity("defocus"), np.random.default_rng(0)

    def value(state):
        return quantity.value(model.layout, state, inputs)

    curvature = quantity.curvature(model.layout, inputs)
    assert curvature.tolist() == [[0.0, 0.0, 1.0], [0.0, 4.0, 0.0], [1.0, 0.0, 0.0]]
    for _ in range(5):
        state = generator.standard_normal(3)
        t, u, heat = state
        assert value(state) == pytest.approx(7.0 + 4.0 - 3.0 * t + t * heat + 0.5 * 4.0 * u * u)
        row, offset = quantity.linear(model.layout, state, inputs)
        assert row @ state + offset == pytest.approx(value(state))
        steps = 1e-5 * np.eye(3)
        slopes = [(value(state + step) - value(state - step)) / 2e-5 for step in steps]
        np.testing.assert_allclose(row, slopes, atol=1e-8)
        step = generator.standard_normal(3)
        exact = value(state) + row @ step + 0.5 * step @ curvature @ step
        assert value(state + step) == pytest.approx(exact)


def test_an_entry_is_a_quantity_and_other_names_are_not():
    quantity = toy().quantity("heat")
    assert (quantity.unit, quantity.value(toy().layout, np.array([1.0, 2.0, 3.0]), {})) == ("angstrom/kelvin", 3.0)
    with pytest.raises(ValueError, match="no entry 'focus'"):
        toy().quantity("focus")
