"""Images in a terminal: which grey stands where, for every shape, and in the live view."""

import io

import numpy as np
import pytest
from rich.console import Console

from scenarios.io.pictures import LARGEST, picture, side_by_side
from scenarios.io.progress import LiveProgress


def greys(image: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """The image as a terminal shows it, one row of half characters after another."""
    shown = picture(image, low, high)
    rows: list[list[int]] = []
    upper, lower = [], []
    for span in shown.spans:
        top, bottom = (int(part.split("(")[1].split(",")[0]) for part in str(span.style).split(" on "))
        upper.append(top)
        lower.append(bottom)
    width = len(str(shown).split("\n")[0])
    for at in range(0, len(upper), width):
        rows += [upper[at : at + width], lower[at : at + width]]
    return np.array(rows)


def test_pixels_stand_where_they_are_and_small_images_are_enlarged() -> None:
    image = np.zeros((16, 16))
    image[3, 5], image[4, 5], image[0, 0] = 1.0, 0.5, np.nan
    shown = greys(image)
    assert shown.shape == (16, 16)
    assert (shown[3, 5], shown[4, 5], shown[0, 0]) == (255, 128, 0)
    assert np.count_nonzero(shown) == 2
    np.testing.assert_array_equal(greys(np.eye(2))[::8, ::8], [[255, 0], [0, 255]])


def test_large_images_are_binned() -> None:
    image = np.zeros((100, 64))
    image[:8, :8] = 1.0
    shown = greys(image)
    assert max(shown.shape) <= LARGEST
    assert shown[0, 0] == 255
    assert shown[-1, -1] == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (100, 2), (1, 300), (5, 7)])
def test_every_shape_is_shown(shape: tuple[int, int]) -> None:
    assert greys(np.full(shape, 0.5)).size > 0
    assert str(picture(np.full(shape, np.nan), 0.0, 1.0))


def test_the_live_view_has_predicted_beside_measured() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=60, color_system="truecolor")
    with LiveProgress("emtwin acquire", console) as live:
        live.request({"decision": "measure", "images": {"predicted": np.eye(16), "measured": np.eye(16)[::-1]}})
        console.print(live._render())
    shown = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "predicted" in shown
    assert "measured" in shown
    assert shown.count("\N{UPPER HALF BLOCK}") >= 2 * 16 * 8
    assert str(side_by_side({"a": np.full((4, 4), np.nan)}))
