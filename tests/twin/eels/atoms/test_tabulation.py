"""The table that ships: packing, strength that is kept, and a small atom computed anew."""

import numpy as np
import pytest

from tests.benchmarks.eels import table
from tests.benchmarks.eels.interpolation import errors_between_nodes
from twin.eels.atoms.edges import edges_of, shell_table
from twin.eels.atoms.oscillator import SERIES, excitation, ionisation, levels
from twin.eels.atoms.solver.atom import solve_atom
from twin.eels.atoms.solver.configurations import SYMBOLS
from twin.eels.atoms.tabulation import BINS, LEAST, RESOLUTION, SHARES, Packed, free_momentum, nodes, pack, unpack


def test_packing_loses_half_a_step():
    rng = np.random.default_rng(3)
    values = 5 - 2 * LEAST * rng.random((7, 9))
    held = unpack(pack(values))
    assert np.abs(held - np.maximum(values, values.max() - LEAST)).max() <= 0.5001 * RESOLUTION


def test_lithium_computed_anew_is_what_ships():
    rows = table.element_rows("Li")
    orbitals = sorted({edge.orbital for edge in edges_of("Li")})
    assert len(rows["shells"]) == len(orbitals) == 2
    for row, orbital in enumerate(orbitals):
        shipped = shell_table("Li", orbital)
        binding, largest, window, top = rows["scales"][row].tolist()
        made = unpack(Packed(top, rows["high"][row], rows["low"][row]))
        np.testing.assert_allclose((binding, largest, window), shipped[:3], rtol=1e-6)
        np.testing.assert_allclose(made, shipped.values, atol=3 * RESOLUTION)


def test_table_has_what_the_waves_give():
    """B K at nodes, computed apart from the table's own interpolation in momentum; bins hold the strength of levels with room, no less."""
    atom = solve_atom("B")
    orbital = atom.shell(1, 0)
    stored = shell_table("B", orbital)
    energies = nodes(stored.largest)[[0, 10, 25]]
    momenta = SHARES[::8] * free_momentum(stored.binding + energies[1:2], atom.potential.light)
    ours = np.log(ionisation(atom, orbital, energies, momenta)[1])
    held = stored.values[BINS + 10, ::8]
    seen = ours > ours.max() - 10
    np.testing.assert_allclose(ours[seen], held[seen], atol=4e-3)

    low = SHARES[:1] * free_momentum(np.array([stored.binding]), atom.potential.light)
    to = levels(atom, 5)
    strength = excitation(atom, orbital, to, low)[:, 0] @ np.array([level.vacancy for level in to])
    strength -= SERIES * ionisation(atom, orbital, energies, low)[0, 0]
    assert abs(np.exp(stored.values[:BINS, 0]).mean() * stored.window / strength - 1) < 2e-3


def test_every_edge_has_its_strengths():
    for element in SYMBOLS:
        for edge in edges_of(element, high=np.inf):
            stored = shell_table(element, edge.orbital)
            assert 0 < stored.window < stored.binding < stored.largest
            assert np.isfinite(stored.values).all()
            assert edge.occupancy > 0


def test_between_nodes_cross_sections_are_those_of_the_waves():
    """At random energies to 20 times the binding energy, into 10 and 100 mrad; 16 edges in the benchmark."""
    errors = errors_between_nodes("O", "K")
    assert max(errors) < 5e-3
    assert np.median(errors) < 5e-4


def test_an_interrupted_table_goes_on(monkeypatch, tmp_path):
    computed = []

    def rows(element: str) -> dict[str, np.ndarray]:
        computed.append(element)
        if element == "B" and computed.count("B") == 1:
            raise KeyboardInterrupt
        return {"shells": np.array([[len(computed), 1, 0]], np.uint8)}

    monkeypatch.setattr(table, "SYMBOLS", ("H", "Li", "Be", "B"))
    monkeypatch.setattr(table, "element_rows", rows)
    out = tmp_path / "out.npz"
    with pytest.raises(KeyboardInterrupt):
        table.build(tmp_path / "parts", out)
    assert not out.exists()
    table.build(tmp_path / "parts", out)
    assert computed == ["Li", "Be", "B", "B"]
    with np.load(out) as stored:
        assert stored["shells"][:, 0].tolist() == [1, 2, 4]
