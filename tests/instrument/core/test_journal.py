"""Sessions return what was written, changes are detected, and damaged sessions are reported."""

import contextlib
import shutil
import sqlite3

import msgspec
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from instrument.core.journal import Journal, SessionError
from instrument.core.payload import PayloadError, pack, unpack
from twin.records import Exposure, Frame, Readings, Scan


def frame(data, sequence=1):
    return Frame(
        data, sequence, 10**18 + sequence, Scan(), {"C10": -1.5}, Exposure(1.0, 2.0, 3.0), meta={"kV": 200, "x": None}
    )


def same_frame(a, b):
    claims = [name for name in a.__struct_fields__ if name != "data"]
    return all(getattr(a, name) == getattr(b, name) for name in claims) and a.data.tobytes() == b.data.tobytes()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "session"


@pytest.fixture
def closed_session(folder):
    """A closed session of a few rows of each sort."""
    with Journal.create(folder) as journal:
        journal.append("scenario", {"name": "x"})
        for number in range(3):
            journal.append_frame(frame(np.full((4, 4), number, np.uint16), number))
        journal.append_readings([Readings("a", 0, np.arange(3), np.arange(3.0))])
    return folder


def test_rows_come_back_in_order_and_by_kind(folder):
    with Journal.create(folder) as journal:
        payload = {
            "name": "x",
            "numbers": [1, 2.5, None],
            "inner": {"scan": Scan()},
            "np": np.float32(0.5),
            "m": np.eye(2),
        }
        first = journal.append("scenario", payload, time=2**62, arrays={"image": np.ones((2, 3), np.complex64)})
        second = journal.append("checkpoint", {"nan": float("nan")})
        assert second == first + 1
        row = next(journal.rows("scenario"))
        assert (row.id, row.kind, row.time) == (first, "scenario", 2**62)
        assert row.payload["inner"]["scan"]["shape"] == [16, 16]
        assert (row.payload["numbers"], row.payload["np"]) == ([1, 2.5, None], 0.5)
        np.testing.assert_array_equal(row.payload["m"], np.eye(2))
        assert row.arrays["image"].dtype == np.complex64
        assert row.arrays["image"].shape == (2, 3)
        assert [r.kind for r in journal.rows()] == ["session", "scenario", "checkpoint"]
        assert [r.kind for r in journal.rows(after_id=first)] == ["checkpoint"]
        assert np.isnan(next(journal.rows("checkpoint")).payload["nan"])
        assert next(journal.rows("checkpoint")).time is None
        journal.append_readings([Readings("a", n, np.zeros(1, np.int64), np.zeros(1)) for n in range(100)])
        assert [r.payload["first"] for r in journal.rows("readings")] == list(range(100))


def test_readings_come_back_with_their_nans(folder):
    batches = [Readings("a", 5, np.array([7, 8]), np.array([np.nan, 1.0])), Readings("b", 0, np.arange(0), np.zeros(0))]
    with Journal.create(folder) as journal:
        last_id = journal.append_readings(batches)
        stored = list(journal.readings())
        assert [number for number, _ in stored] == [last_id - 1, last_id]
        for (_, actual), expected in zip(stored, batches, strict=True):
            assert (actual.channel, actual.first) == (expected.channel, expected.first)
            np.testing.assert_array_equal(actual.times, expected.times)
            np.testing.assert_array_equal(actual.values, expected.values)
            assert actual.times.dtype == np.int64
        assert journal.append_readings([]) == last_id


@pytest.mark.parametrize(
    "data",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.zeros((2, 3), np.uint16),
        np.array([np.nan, 1.0, np.inf]),
        np.arange(8, dtype=">i4").reshape(2, 2, 2),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    ],
    ids=["float", "zeros", "spectrum", "big-endian", "fortran"],
)
def test_frames_come_back_whole(folder, data):
    with Journal.create(folder) as journal:
        rows = [journal.append_frame(frame(data + data.dtype.type(n), n)) for n in range(3)]
    with Journal.open(folder, write=True) as journal:
        rows.append(journal.append_frame(frame(data, 3)))
        assert journal.verify() == []
    name, array = next(iter(zarr.open_group(folder / "frames.zarr", mode="r").arrays()))
    assert name == f"{data.dtype.name}_{'x'.join(map(str, data.shape))}"
    np.testing.assert_array_equal(array[1], data + data.dtype.type(1))  # pyright: ignore[reportArgumentType]
    with Journal.open(folder) as journal:
        for n, number in enumerate(rows):
            actual = journal.frame(number)
            expected = data + data.dtype.type(n % 3)
            np.testing.assert_array_equal(actual.data, expected)
            assert actual.data.dtype == data.dtype.newbyteorder("=")
            assert same_frame(actual, msgspec.structs.replace(frame(data, n), data=actual.data))
        with pytest.raises(SessionError, match="row 1 is not a frame"):
            journal.frame(1)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text(max_size=5)
        | st.binary(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=10,
    ),
    hnp.arrays(
        st.sampled_from([np.int8, np.uint64, np.float32, np.complex128, np.bool_]),
        hnp.array_shapes(min_dims=0, min_side=0),
    ),
)
def test_payloads_come_back(plain_data, array):
    restored = unpack(pack({"plain": plain_data, "array": array}))
    assert repr(restored["plain"]) == repr(plain_data)
    assert restored["array"].dtype == array.dtype
    np.testing.assert_array_equal(restored["array"], array)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_damaged_payloads_are_said_to_be_so(content):
    with contextlib.suppress(PayloadError):
        unpack(content)


def test_what_cannot_be_written_leaves_no_trace(folder):
    with Journal.create(folder) as journal:
        for payload in ({"x": object()}, {"x": 2**70}, {"x": np.array(["text"])}):
            with pytest.raises(PayloadError, match="cannot be written into a journal"):
                journal.append("bad", payload)
        with pytest.raises(ValueError, match="cannot be kept"):
            journal.append_frame(frame(np.zeros((2, 2), np.complex64)))
        assert [row.kind for row in journal.rows()] == ["session"]
        assert journal.verify() == []


def test_an_interruption_right_after_a_commit_does_no_harm(folder):
    class Interrupted:
        def __init__(self, database):
            self.database, self.armed = database, True

        def __getattr__(self, name):
            return getattr(self.database, name)

        def execute(self, statement, *values):
            result = self.database.execute(statement, *values)
            if statement == "COMMIT" and self.armed:
                self.armed = False
                raise KeyboardInterrupt
            return result

    with Journal.create(folder) as journal:
        journal._database = Interrupted(journal._database)  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(KeyboardInterrupt):
            journal.append_frame(frame(np.full((2, 2), 1.0), 1))
        second = journal.append_frame(frame(np.full((2, 2), 2.0), 2))
        assert [row.payload["sequence"] for row in journal.rows("frame")] == [1, 2]
        assert journal.verify() == []
        assert (journal.frame(second).data == 2).all()


def test_times_must_fit(folder):
    with Journal.create(folder) as journal:
        number = journal.append("a", {}, time=np.int64(2**63 - 1))  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match="does not fit 64 bits"):
            journal.append("a", {}, time=2**63)
        assert [row.time for row in journal.rows("a")] == [2**63 - 1]
        assert journal.append("a", {}) == number + 1


def test_the_log_is_append_only(closed_session):
    database = sqlite3.connect(closed_session / "journal.db")
    for statement in (
        "UPDATE rows SET kind = 'x'",
        "DELETE FROM rows WHERE id = 2",
        "INSERT OR REPLACE INTO rows SELECT * FROM rows",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            database.execute(statement)
    database.close()


def tamper(folder, *statements):
    database = sqlite3.connect(folder / "journal.db")
    for statement in ("DROP TRIGGER rows_keep", "DROP TRIGGER rows_stay", *statements):
        database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE rows SET time = 5 WHERE id = 3",
        "UPDATE rows SET kind = 'b' WHERE id = 3",
        "UPDATE rows SET payload = x'80' WHERE id = 2",
        "UPDATE rows SET arrays = x'80' WHERE id = 6",
        "DELETE FROM rows WHERE id = 3",
        "UPDATE rows SET hash = x'00' WHERE id = 6",
    ],
)
def test_a_change_breaks_the_chain(closed_session, change):
    with Journal.open(closed_session) as journal:
        assert journal.verify() == []
    tamper(closed_session, change)
    with Journal.open(closed_session) as journal:
        assert any("does not fit the chain" in problem for problem in journal.verify())


def test_damaged_and_missing_pixels_are_found(closed_session):
    chunks = sorted((closed_session / "frames.zarr" / "uint16_4x4").glob("c.*"))
    assert len(chunks) == 3
    chunks[0].write_bytes(chunks[0].read_bytes()[:-1])
    chunks[1].unlink()
    with Journal.open(closed_session) as journal:
        first, second, third = (row.id for row in journal.rows("frame"))
        assert journal.verify() == [
            f"the frame of row {first} is damaged: chunk c.0.0.0 of uint16_4x4 was changed or cut short",
            f"the frame of row {second} is damaged: chunk c.1.0.0 of uint16_4x4 is missing",
        ]
        assert journal.frame(third).sequence == 2
        for row, problem in ((first, "cut short"), (second, "missing")):
            with pytest.raises(SessionError, match=problem):
                journal.frame(row)


@pytest.mark.smoke
def test_one_process_writes_and_others_read_meanwhile(folder):
    with Journal.create(folder) as journal:
        with pytest.raises(SessionError, match=r"process \d+ is writing to it; wait for its end"):
            Journal.open(folder, write=True)
        with Journal.open(folder) as reader:
            number = journal.append("note", {"a": 1})
            assert [row.id for row in reader.rows("note")] == [number]
            with pytest.raises(SessionError, match="opened for reading"):
                reader.append("note", {})
            with pytest.raises(SessionError, match="opened for reading"):
                reader.append_frame(frame(np.zeros((2, 2))))
    Journal.open(folder, write=True).close()


def test_an_existing_path_is_never_touched(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("empty", "file", "link"):
        with pytest.raises(ValueError, match="exists already; choose another folder"):
            Journal.create(tmp_path / name)
    with pytest.raises(SessionError, match="cannot be made"):
        Journal.create(tmp_path / "file" / "session")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "link"]


def test_a_failed_creation_leaves_nothing_behind(tmp_path, monkeypatch):
    def raise_disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("instrument.core.journal.FrameStore.create", raise_disk_full)
    with pytest.raises(SessionError, match="No space left"):
        Journal.create(tmp_path / "a" / "b" / "session")
    assert list(tmp_path.iterdir()) == []


def spoil_database(folder):
    path = folder / "journal.db"
    content = bytearray(path.read_bytes())
    content[5000:] = b"\xa5" * (len(content) - 5000)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no such folder; check the path"),
        (lambda folder: (folder / "journal.db").unlink(), "it has no journal.db"),
        (lambda folder: (folder / "journal.db").write_bytes(b"not a database, by far" * 100), "cannot be read"),
        (lambda folder: (folder / "journal.db").write_bytes(b""), "is not an emtwin journal"),
        (lambda folder: (folder / "journal.db").write_bytes((folder / "journal.db").read_bytes()[:5000]), "journal.db"),
        (spoil_database, "journal.db"),
        (lambda folder: tamper(folder, "PRAGMA user_version = 9"), "it is of format 9, this emtwin reads 1"),
        (lambda folder: tamper(folder, "DROP TABLE rows"), "journal.db"),
        (lambda folder: shutil.rmtree(folder / "frames.zarr"), "frames.zarr cannot be read"),
        (lambda folder: (folder / "frames.zarr" / "zarr.json").write_text("{"), "frames.zarr cannot be read"),
    ],
)
@pytest.mark.parametrize("write", [False, True])
def test_a_broken_session_is_refused_with_its_name_and_a_cure(closed_session, spoil, problem, write):
    spoil(closed_session)
    with pytest.raises(SessionError, match=problem) as caught:
        Journal.open(closed_session, write=write)
    assert str(closed_session) in str(caught.value)
    assert caught.value.cure


def test_a_broken_array_is_a_session_error(closed_session):
    (closed_session / "frames.zarr" / "uint16_4x4" / "zarr.json").write_text("{")
    with Journal.open(closed_session) as journal:
        row = next(journal.rows("frame"))
        with pytest.raises(SessionError, match="uint16_4x4"):
            journal.frame(row)
        assert len(journal.verify()) == 3
