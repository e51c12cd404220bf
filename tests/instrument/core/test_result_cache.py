"""Stored results: found by their inputs and version, recomputed when damaged, and never half written."""

import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instrument.core.result_cache import cache_key, load_or_compute

ARRAYS = {"grams": np.arange(24, dtype=np.complex64).reshape(2, 3, 4), "energy": np.asarray(200e3)}
INPUTS = {"energy": 200e3, "depths": (4, 6), "positions": np.arange(6.0).reshape(2, 3), "cif": b"data_x"}


class Computation:
    """Counts how often it is asked for ARRAYS, and keeps the messages."""

    def __init__(self) -> None:
        self.count, self.messages = 0, []

    def __call__(self) -> dict[str, np.ndarray]:
        self.count += 1
        return ARRAYS

    def progress(self, text: str, share: float) -> None:
        self.messages.append(text)

    def result(self, folder: Path | None, inputs: dict[str, Any] = INPUTS, version: int = 1) -> dict[str, np.ndarray]:
        return load_or_compute(folder, "grams", version, inputs, self, self.progress)


@pytest.fixture
def computation() -> Computation:
    return Computation()


def test_a_result_is_computed_once(computation, tmp_path):
    for _ in range(2):
        arrays = computation.result(tmp_path / "made")
        assert arrays.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            assert arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(arrays[name], array)
    assert computation.count == 1
    assert computation.messages == []
    assert len(list((tmp_path / "made").iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"energy": 200e3 + 1e-10}, {"depths": (4, 8)}, {"positions": np.arange(6.0).reshape(3, 2)}, {"cif": b"data_y"}, {"more": None},
        {"positions": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"positions": np.nextafter(INPUTS["positions"], 9.0)},
    ],
)  # fmt: skip
def test_any_other_input_is_another_result(change, computation, tmp_path):
    computation.result(tmp_path)
    computation.result(tmp_path, INPUTS | change)
    assert computation.count == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_another_version_is_another_result(computation, tmp_path):
    computation.result(tmp_path)
    computation.result(tmp_path, version=2)
    assert computation.count == 2


def test_the_key_does_not_depend_on_the_form_of_equal_inputs():
    other = {"cif": b"data_x", "positions": np.asfortranarray(INPUTS["positions"]).astype(">f8"), "depths": [4, 6]}
    assert cache_key(1, other | {"energy": np.float64(200e3)}) == cache_key(1, INPUTS)


@pytest.mark.parametrize("value", [float("nan"), object(), np.array(["text"]), {1, 2}])
def test_inputs_without_a_canonical_form_are_refused(value, computation, tmp_path):
    with pytest.raises((ValueError, TypeError)):
        computation.result(tmp_path, INPUTS | {"value": value})
    assert computation.count == 0


def _damaged(content: bytes) -> dict[str, bytes]:
    flipped = {f"bit of byte {at}": at for at in (0, 40, len(content) // 2, len(content) - 1)}
    return {
        "empty": b"",
        "cut short": content[:-1],
        "longer": content + b"\0",
        "something else": b"PK\3\4" + bytes(100),
        **{name: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for name, at in flipped.items()},
    }


def test_a_damaged_file_is_reported_and_replaced(computation, tmp_path):
    computation.result(tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for number, (damage, content) in enumerate(_damaged(whole).items(), start=2):
        file.write_bytes(content)
        np.testing.assert_array_equal(computation.result(tmp_path)["grams"], ARRAYS["grams"])
        assert computation.count == number, damage
        assert file.name in computation.messages[-1]
        assert "damaged" in computation.messages[-1]
        computation.result(tmp_path)
        assert computation.count == number, damage
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_under_another_name_is_not_taken_for_that_result(computation, tmp_path):
    computation.result(tmp_path)
    (file,) = tmp_path.iterdir()
    computation.result(tmp_path, version=2)
    (other,) = set(tmp_path.iterdir()) - {file}
    other.write_bytes(file.read_bytes())
    computation.result(tmp_path, version=2)
    assert computation.count == 3


def test_where_nothing_can_be_stored_the_result_is_computed(computation, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file" / "cache"):
        np.testing.assert_array_equal(computation.result(folder)["grams"], ARRAYS["grams"])
    assert computation.count == 2
    assert "cannot be stored" in computation.messages[-1]


def test_a_write_that_fails_leaves_nothing(computation, tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    computation.result(tmp_path)
    assert computation.messages == ["the result cannot be stored for the next run (No space left on device)"]
    assert list(tmp_path.iterdir()) == []


def test_a_computation_that_fails_stores_nothing(tmp_path):
    def fail() -> dict[str, np.ndarray]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load_or_compute(tmp_path, "grams", 1, INPUTS, fail, lambda text, share: None)
    assert list(tmp_path.iterdir()) == []


def _work(folder: Path, barrier: Any, count: int) -> None:
    """Store and read ``count`` results together with other processes; an error ends the process with exit code 1."""
    for number in range(count):
        barrier.wait()
        computation = Computation()
        arrays = computation.result(folder, INPUTS | {"number": number})
        np.testing.assert_array_equal(arrays["grams"], ARRAYS["grams"])
        assert computation.messages == []


def test_several_processes_may_store_the_same_results_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3, timeout=60)
    processes = [context.Process(target=_work, args=(tmp_path, barrier, 20)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(list(tmp_path.iterdir())) == 20
