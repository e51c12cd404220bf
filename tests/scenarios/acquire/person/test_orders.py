"""Orders of a person to a running session: stop, hold and go on, measure; and which are refused."""

from pathlib import Path

import pytest

from instrument.core.journal import Journal
from scenarios.acquire.person.orders import NAME, Order, Orders, order_of
from scenarios.cli.main import BAD_INPUT, DONE, run
from scenarios.io.errors import BadInput
from tests.scenarios.acquire.question.test_loop import loop_of


def test_orders_are_given_to_a_session_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "s"
    with Journal.create(folder):
        heard = Orders(folder)
        assert heard.new() == []
        assert run(["session", "tell", str(folder), "hold"]) == DONE
        assert run(["session", "tell", str(folder), "measure", "--c10", "-40", "--dwell", "2"]) == DONE
        assert heard.new() == [Order("hold"), Order("measure", -40.0, 2.0)]
        with open(folder / NAME, "ab") as file:
            file.write(b'{"word": "explode"}\n[1, 2\n{"word": "go-on"}\n{"word": "st')
        assert heard.new() == [Order("go-on")]
        with open(folder / NAME, "ab") as file:
            file.write(b'op"}\n')
        assert heard.new() == [Order("stop")]
        assert Orders(folder).new() == []  # those given before a session runs are not its own
    assert run(["session", "tell", str(folder), "stop"]) == BAD_INPUT
    assert "no session runs" in capsys.readouterr().err
    assert run(["session", "tell", str(tmp_path / "absent"), "stop"]) == BAD_INPUT


@pytest.mark.parametrize(
    ("word", "c10", "dwell", "message"),
    [
        ("explode", None, None, "is no order"),
        ("stop", 3.0, None, "has no C10"),
        ("measure", float("nan"), None, "--c10"),
        ("measure", None, 0.0, "--dwell"),
    ],
)
def test_orders_that_are_none(word: str, c10: float | None, dwell: float | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        order_of(word, c10, dwell)


class Person(Orders):
    """Says one list of orders at each look, and does something to the instrument before some."""

    def __init__(self, said, acts):
        self._said, self._acts, self.looks = said, acts, 0

    def new(self) -> list[Order]:
        number, self.looks = self.looks, self.looks + 1
        self._acts.get(number, lambda: None)()
        return self._said[number] if number < len(self._said) else []


@pytest.mark.slow
def test_a_person_takes_over_measures_and_stops(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "s") as journal:
        loop = loop_of(journal, 1e-3)
        acts = {3: lambda: loop.instrument.apply({"C10": 150.0})}
        said = [[], [Order("measure", 25.0, 3.0)], [Order("hold")], [Order("go-on")], [Order("stop")]]
        loop.orders = Person(said, acts)
        with pytest.raises(KeyboardInterrupt):
            loop.run()
        questions = [row.payload for row in journal.rows("question")]
        back = [row.payload for row in journal.rows("taken back")]
        words = [row.payload["word"] for row in journal.rows("order")]
    assert words == ["measure", "hold", "go-on", "stop"]
    assert [each["ordered"] for each in questions] == [False, True, False]
    assert questions[1]["c10"] == 25.0
    assert questions[1]["dwell"] == pytest.approx(3.0 * loop.scan.dwell)
    assert back == [{"changes": {"C10": 150.0}}]


@pytest.mark.slow
def test_what_the_twin_cannot_follow_makes_it_begin_again(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "s") as journal:
        loop = loop_of(journal, 1e-3)
        acts = {2: lambda: loop.instrument.apply({"normalise": 1.0})}
        loop.orders = Person([[], [Order("hold")], [Order("go-on")], [Order("stop")]], acts)
        with pytest.raises(KeyboardInterrupt):
            loop.run()
        first, second = (row.payload for row in journal.rows("question"))
    assert first["stds"][0] < 0.8 * first["before"][0]
    # the image after it is taken by who knows nothing
    assert second["before"] == pytest.approx(first["before"], rel=0.02)
