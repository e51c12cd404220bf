"""A default session gives the same readings as before: later additions to the truth are off by default and use their own random streams."""

import numpy as np
import pytest

from instrument.simulation.instrument import TruthSession
from twin.channels import CHANNELS

# Of seed 5, made before any of it was added: count, last time in ns, sum and last value of 400 s of each channel
READ = {
    "lens.condenser1": (394, 399717626660, 123.20379999999999, 0.3127),
    "lens.condenser2": (390, 399708282218, 156.741, 0.4019),
    "lens.condenser3": (396, 399314027844, 109.45439999999996, 0.2764),
    "lens.objective": (3921, 399865732703, 3351.2746328000003, 0.8546984),
    "lens.diffraction": (198, 399139608718, 72.28979999999999, 0.3651),
    "lens.projector": (192, 399354232012, 155.7504, 0.8112),
    "C10.commanded": (3912, 399869996652, -101640.0, -40.0),
    "C12.a.commanded": (392, 399914138787, 3320.0, 10.0),
    "C12.b.commanded": (390, 399042160100, 0.0, 0.0),
    "beam_shift.x.commanded": (3929, 399920550702, 40068.0, 12.0),
    "beam_shift.y.commanded": (3912, 399855190123, 0.0, 0.0),
    "gun.high_tension": (3926, 399841461905, 783074364.9353244, 199458.65000000002),
    "gun.emission": (399, 399889974106, 0.020035897344658084, 5.019983789496461e-05),
    "gun.pressure": (40, 392593382236, 4.105397102650669e-06, 1.0029049640973746e-07),
    "column.pressure": (38, 392022579243, 0.0009313301658864816, 2.391026826536152e-05),
    "objective.current": (3933, 399914078827, 0.008528797434902504, 1.6064907929536835e-06),
    "objective.temperature": (393, 399769812398, 117689.95021588547, 299.42),
    "water.in.temperature": (392, 399087973509, 114123.47879496517, 291.19),
    "water.out.temperature": (393, 399026498786, 115153.52423975106, 293.05),
    "room.temperature": (78, 396572023361, 23028.859999999997, 294.99),
    "room.pressure": (40, 398906256798, 4084744.490301657, 102116.39967871919),
    "field.x": (39213, 399931062414, 0.0027889146878785423, 5.130192171787366e-08),
    "field.y": (39213, 399934630511, 0.005418513478349923, 1.1448585143240735e-07),
    "stage.x": (3916, 399877632344, 180291346.22398013, 49987.0),
    "stage.y": (3924, 399884596497, -72448829.00335354, -20014.0),
    "stage.z": (395, 399474883776, -4747854.346553087, -12013.0),
    "stage.alpha": (394, 399546822013, 1.8826744465433474, 0.004756115979300314),
    "stage.beta": (392, 399509198140, -1.5970097775281666, -0.0040674498005165635),
    "holder.temperature": (395, 399486902927, 116847.38406721869, 295.56),
    "screen.current": (40, 396943195978, 1.8524476574997249e-09, 4.631119143749312e-11),
    "corrector.C12.a": (40, 393558561507, 511.80382413362634, 12.795095603340659),
    "corrector.C12.b": (40, 397080563781, 3221.989796382575, 80.54974490956438),
    "corrector.C30": (40, 395362715665, 13949.231588495208, 348.7307897123802),
    "haadf.black": (394, 399213654022, 40104.974146725246, 101.38212645421562),
}
TIMES = [0.0, 25.0, 40.0, 70.0, 399.0]
OPTICS = [  # C10 to C30 in A, at TIMES
    [
        4.489943651951439,
        7.896140336333812,
        -0.1022134440582558,
        239.3736894281963,
        -333.2851155614895,
        83.56276702618153,
        -100.86723501849069,
        1154.61964744256,
    ],
    [
        70.78421733530656,
        -7.027811225474244,
        10.473973162836803,
        255.2081730130494,
        -336.4386891435688,
        61.88747032069976,
        -75.59668027122481,
        824.2665699719064,
    ],
    [
        69.29203222838977,
        -4.04156365282633,
        4.556362759453651,
        249.49168873116838,
        -314.63068081653995,
        68.25843993445939,
        -66.28185406977724,
        633.3375401461418,
    ],
    [
        -25.680689874340956,
        8.823506420153283,
        16.635085955673592,
        263.57516802712104,
        -289.39916584387464,
        82.08904467183146,
        -46.94012600371198,
        539.5684310517521,
    ],
    [
        -106.65068301998747,
        3.6504503879342876,
        -63.77523283895035,
        283.2385831686072,
        -190.3153886312334,
        111.50131727858033,
        -100.32201853147953,
        -983.3209955459866,
    ],
]
POSITIONS = [
    [-1989.688646757176, 3572.9937214666934],
    [-1988.2081230868334, 3577.350796769411],
    [48865.746332020215, -16295.845018058524],
    [48866.78791624035, -16289.653159796588],
    [48839.686528247126, -16281.16870246288],
]
BEAM, BLACK = (
    [0.9998210541236285, 0.9987485214027467, 0.997827197658344, 0.9948817297626242, 0.9919143107919214],
    [100.94198039893001, 100.77786405267402, 100.98338391757086, 102.0238303820325, 101.30105745320833],
)


@pytest.fixture(scope="module")
def session() -> TruthSession:
    session = TruthSession(seed=5)
    session.apply(20.0, {"C10": 80.0})
    assert session.apply(27.7, {"stage.x": 5e4, "stage.y": -2e4}) == pytest.approx(31.7)
    session.apply(60.25, {"C10": -40.0, "C12.a": 10.0, "beam_shift.x": 12.0})
    return session


@pytest.mark.parametrize("name", READ)
def test_readings_of_a_channel_are_unchanged(session, name):
    count, time, total, last_value = READ[name]
    (read,) = session.arrivals(400.0, [name])
    assert len(read.values) == count
    assert read.times[-1] - session.epoch == time
    np.testing.assert_allclose([read.values.sum(), read.values[-1]], [total, last_value], rtol=1e-9)


def test_the_column_state_is_unchanged(session):
    state = session.state(session.names(), TIMES, vibration=True)
    names = ("C10", "C12.a", "C12.b", "C21.a", "C21.b", "C23.a", "C23.b", "C30")
    np.testing.assert_allclose(np.stack([state[name] for name in names], axis=1), OPTICS, rtol=1e-9)
    np.testing.assert_allclose(np.stack([state["specimen.x"], state["specimen.y"]], axis=1), POSITIONS, rtol=1e-9)
    np.testing.assert_allclose(state["beam"], BEAM, rtol=1e-9)
    np.testing.assert_allclose(state["black"], BLACK, rtol=1e-9)


def test_channels_added_since_follow_the_old_ones():
    assert [channel.name for channel in CHANNELS[: len(READ)]] == list(READ)
