"""The state vector: names, priors, and invalid input."""

import numpy as np
import pytest

from reconstruct.api.models import load_model
from twin.state import FIELD, Entry, Layout


def test_index_of_a_name():
    layout = load_model("probe", {"cell": 4.2}).layout
    assert [layout.index(name) for name in layout.names] == list(range(len(layout)))
    assert layout.prior_mean()[layout.index("thickness")] == 78.1
    assert layout.prior_std()[layout.index("x")] == pytest.approx(4.2 / np.sqrt(12))
    assert {entry.name for entry in layout.entries if entry.period} == {"x", "y"}
    assert {layout.entries[layout.index(name)].period for name in "xy"} == {4.2}
    assert set(FIELD) <= set(layout.names)


def test_replaced_priors_leave_other_entries():
    layout = load_model("probe").layout
    changed = layout.replaced({"C10": (7.0, 3.0)})
    row = layout.index("C10")
    assert changed.names == layout.names
    assert (changed.prior_mean()[row], changed.prior_std()[row]) == (7.0, 3.0)
    others = np.arange(len(layout)) != row
    np.testing.assert_array_equal(changed.prior_std()[others], layout.prior_std()[others])
    assert layout.prior_std()[row] == 60.0


def test_names_that_are_not_there_are_named():
    layout = load_model("probe").layout
    with pytest.raises(ValueError, match=r"no entry 'C1O'; it has C10"):
        layout.index("C1O")
    with pytest.raises(ValueError, match="no entry 'focus'"):
        layout.replaced({"focus": (0.0, 1.0)})


@pytest.mark.parametrize("prior", [(0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_invalid_priors(prior):
    with pytest.raises(ValueError, match="prior of 'a'"):
        Layout((Entry("a", "1", *prior),))


def test_a_name_twice():
    with pytest.raises(ValueError, match="named twice: a;"):
        Layout((Entry("a", "1", 0.0, 1.0), Entry("b", "1", 0.0, 1.0), Entry("a", "1", 0.0, 2.0)))
