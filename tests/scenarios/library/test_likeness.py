"""Distances of records, and how well plans held."""

import math

import numpy as np
import pytest

from scenarios.library.held import held
from scenarios.library.likeness import UNSTATED, WEIGHTS, distance, nearest
from scenarios.library.record import Query, Record, query_of

BASE = Record(
    kind="session", name="a", path="", identity="a", digest="a", structure="SrTiO3", elements=("O", "Sr", "Ti"), technique="stem-haadf", dose=1e4,
    settings={"energy": 200e3, "semiangle": 0.02}, id=1,
)  # fmt: skip


def changed(**values: object) -> Record:
    """`BASE` with other values."""
    return Record(**(BASE.as_dict() | {"elements": BASE.elements} | values))  # pyright: ignore[reportArgumentType]


def test_a_record_is_at_no_distance_from_itself():
    value, why = distance(query_of(BASE), BASE)
    assert value == 0.0
    assert len(why) == 5
    assert all(words.startswith("same") for words in why)


def test_distance_is_the_weighted_mean_of_its_parts():
    total = sum(WEIGHTS[name] for name in ("technique", "elements", "dose", "energy", "semiangle"))
    cases = {
        "technique": ({"technique": "eels"}, 0.5),
        "elements": ({"elements": ("Ba", "O", "Ti"), "structure": "BaTiO3"}, 0.5),
        "dose": ({"dose": 1e5}, 1.0 / 3.0),
        "energy": ({"settings": {"energy": 100e3, "semiangle": 0.02}}, math.log(2.0) / math.log(5.0)),
        "semiangle": ({"settings": {"energy": 200e3}}, UNSTATED),
    }
    for name, (values, part) in cases.items():
        value, why = distance(query_of(BASE), changed(**values))
        assert value == pytest.approx(WEIGHTS[name] * part / total), name
        assert sum(not words.startswith("same") for words in why) == 1, name


def test_what_is_not_asked_is_not_compared():
    query = Query(name="only elements", elements=("O", "Sr", "Ti"))
    assert distance(query, BASE) == (0.0, ("same elements, O, Sr, Ti",))
    assert distance(Query(name="nothing"), BASE) == (1.0, ("nothing to compare",))


def test_each_step_away_is_farther_and_nearest_come_first():
    doses = [1e4, 2e4, 1e3, 1e6, 1e9]
    records = [changed(dose=dose, id=number) for number, dose in enumerate(doses)]
    matches = nearest(query_of(BASE), records, 4)
    assert [match.record.dose for match in matches] == [1e4, 2e4, 1e3, 1e6]
    assert all(0.0 <= match.distance <= 1.0 for match in matches)
    twins = nearest(query_of(BASE), [changed(id=1), changed(id=2)])
    assert [match.record.id for match in twins] == [2, 1], "of equal ones the latest"


def test_another_plane_technique_is_farther_than_another_scan():
    scan, plane = (distance(query_of(BASE), changed(technique=name))[0] for name in ("4d-stem", "hrtem"))
    assert 0.0 < scan < plane


def _records(rng: np.random.Generator, count: int, power: float = 1.0, std: float = 1.0) -> list[Record]:
    """Sessions whose outcomes are drawn by what was promised, or by ``power`` and ``std`` times that."""
    made = []
    for number in range(count):
        promised = {"power": float(rng.uniform(0.5, 0.95)), "std": float(rng.uniform(1.0, 3.0)), "dose": 1e4}
        reached = {
            "detected": float(rng.uniform() < power * promised["power"]),
            "std": std * promised["std"],
            "error": float(rng.normal(0.0, std * promised["std"])),
        }
        made.append(changed(planned=promised, reached=reached, id=number + 1, dose=1e4))
    return made


def test_plans_that_are_right_hold():
    told = held([*_records(np.random.default_rng(0), 400), BASE])
    assert told["records"] == 400
    assert abs(told["power"]["sigmas"]) < 3.0
    assert told["std"]["ratio"] == pytest.approx(1.0)
    assert told["std"]["standardised"] == pytest.approx(1.0, abs=0.1)
    assert told["dose"] == {"count": 400, "ratio": 1.0}


def test_plans_that_promise_too_much_do_not():
    told = held(_records(np.random.default_rng(0), 400, power=0.8, std=1.5))
    assert told["power"]["sigmas"] < -5.0
    assert told["std"]["ratio"] == pytest.approx(1.5)
    assert told["std"]["standardised"] == pytest.approx(1.5, abs=0.15)


def test_the_worst_plans_are_named():
    good = changed(planned={"power": 0.9, "dose": 1e4}, reached={"detected": 1.0}, id=1)
    failed = changed(planned={"power": 0.9}, reached={"detected": 0.0}, id=2)
    costly = changed(planned={"dose": 1e2}, id=3)
    assert held([good, failed, costly])["worst"] == [3, 2]


def test_powers_of_many_trials_are_compared_as_they_are():
    told = held([changed(planned={"power": 0.9}, reached={"power": 0.85})])["power"]
    assert (told["predicted"], told["reached"]) == (0.9, 0.85)
    assert math.isnan(told["sigmas"])


def test_without_plans_nothing_is_said():
    assert held([BASE]) == {"records": 0, "power": None, "std": None, "dose": None, "worst": []}
