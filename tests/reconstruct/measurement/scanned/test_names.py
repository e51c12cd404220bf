"""Names of quantities: what they mean, and what is refused with its cure."""

import pytest

from reconstruct.measurement.scanned import quantity_named
from twin.errors import BadInput


@pytest.mark.parametrize(
    ("text", "form", "content"),
    [
        ("Ti L", "edge", "spectrum"), ("O K edge", "edge", "spectrum"), ("Ti L3", "edge", "spectrum"), ("450-470 eV", "window", "spectrum"),
        ("-5 to 5 eV", "window", "spectrum"), ("plasmon energy", "plasmon", "spectrum"), ("t/lambda", "thickness", "spectrum"),
        ("zero-loss position", "zero loss", "spectrum"), ("centre of mass x", "com x", "pattern"), ("center of mass y", "com y", "pattern"),
        ("com magnitude", "com magnitude", "pattern"), ("20-60 mrad", "annular", "pattern"),
    ],
)  # fmt: skip
def test_forms(text: str, form: str, content: str) -> None:
    name = quantity_named(text)
    assert (name.form, name.content) == (form, content)


def test_windows_follow_the_onset() -> None:
    name = quantity_named("O K")
    assert name.background[1] < name.onset < name.signal[1]
    assert name.energies == (name.onset - 16.0, name.onset + 8.0)
    given = quantity_named("Ti L", (395.0, 450.0), (455.0, 475.0))
    assert (given.background, given.signal, given.energies) == ((395.0, 450.0), (455.0, 475.0), (395.0, 475.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", "is no quantity"), ("Ti Q", "is no quantity"), ("Xx K", "no element"), ("Ca K", "Ca has no edge K"), ("60-20 mrad", "does not rise"),
        ("-20-60 mrad", "below zero"), ("", "is no quantity"),
    ],
)  # fmt: skip
def test_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        quantity_named(text)
    assert caught.value.cure
    assert repr(text) in caught.value.input


def test_windows_that_do_not_belong_are_refused() -> None:
    with pytest.raises(BadInput, match="one window"):
        quantity_named("Ti L", (395.0, 450.0))
    with pytest.raises(BadInput, match="do not rise"):
        quantity_named("Ti L", (455.0, 475.0), (395.0, 450.0))
    with pytest.raises(BadInput, match="is no edge"):
        quantity_named("t/lambda", (395.0, 450.0), (455.0, 475.0))
