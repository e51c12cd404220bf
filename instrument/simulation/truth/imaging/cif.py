"""The unit cell in a CIF, for the hidden truth, as gemmi reads it; ambiguous files are refused."""

from pathlib import Path
from typing import Any

import numpy as np

SYMMETRY = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
CURE = "list all atoms of the cell in P 1"


def read_cell(path: Path) -> Any:
    """ASE atoms of the unit cell. ValueError for a file that cannot be read, a setting that is not named, sites that are partly filled, and atoms
    that overlap."""
    import ase
    import gemmi

    try:
        block = gemmi.cif.read_string(path.read_bytes().decode("utf-8-sig", "replace")).sole_block()
        structure = gemmi.make_small_structure_from_block(block)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"CIF {path}: cannot be read ({error}); give a valid CIF with one structure") from error
    cell = structure.cell
    if not all(np.isfinite(value) and value > 0.0 for value in cell.parameters) or not len(
        block.find_values("_cell_length_a")
    ):
        raise ValueError(f"CIF {path}: cannot be read (it has no cell); give a valid CIF with one structure")
    if not structure.sites:
        raise ValueError(f"CIF {path}: holds no atoms; give a CIF with one structure")
    named = structure.spacegroup_hm or (
        f"number {structure.spacegroup_number}" if structure.spacegroup_number > 1 else ""
    )
    if named and structure.spacegroup is None and not structure.symops:
        raise ValueError(f"CIF {path}: its space group {named!r} is not known by a name; {CURE}")
    stated = any(len(block.find_values(tag)) for tag in SYMMETRY + HALL) or ":" in structure.spacegroup_hm
    if structure.spacegroup is not None and structure.spacegroup.ext in ("1", "2") and not stated:
        raise ValueError(
            f"CIF {path}: {structure.spacegroup_hm!r} does not say which origin; write it as '... :2', or {CURE}"
        )
    sites = structure.get_all_unit_cell_sites()
    partly = sorted({site.label for site in sites if not abs(site.occ - 1.0) < 1e-3})
    if partly:
        raise ValueError(
            f"CIF {path}: sites {', '.join(partly)} are not filled, and a simulated specimen has whole atoms; give occupancies of 1"
        )
    scaled = np.array([site.fract.tolist() for site in sites]) % 1.0
    atoms = ase.Atoms(
        [site.element.name for site in sites], scaled_positions=scaled, cell=list(cell.parameters), pbc=True
    )
    distances = atoms.get_all_distances(mic=True) + 9.0 * np.eye(len(atoms))
    if distances.min() < 0.5:
        i, j = (int(value) for value in np.unravel_index(int(np.argmin(distances)), distances.shape))
        raise ValueError(f"CIF {path}: {sites[i].label} and {sites[j].label} are {distances[i, j]:.3f} A apart; {CURE}")
    return atoms
