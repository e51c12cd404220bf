"""The atoms of one cell from atom sites and symmetry operations: special positions, repeated entries, shared and overfull sites."""

from dataclasses import dataclass

import numpy as np

from twin.sample.cif.neighbours import pairs
from twin.sample.cif.sites import Site
from twin.sample.cif.symmetry import Setting

OVERLAP_DISTANCE = 0.5
"""Distance in angstrom below which atoms share one place: no bond is shorter than 0.74."""
ROUNDING_DISTANCE = 0.3
"""Distance in angstrom beyond which images are no longer one atom, however few decimals a position is written with."""
UNRESOLVED_DISTANCE = 0.05
"""Distance in angstrom up to which images within the rounding are one atom also where occupancies would allow two: none is resolved so finely."""
LARGEST_FRACTION_ERROR = 0.01
"""What a fraction is off by at most: 0 and 0.5 are written in short, and exact."""
OCCUPANCY_TOLERANCE = 0.05
"""Largest excess of summed occupancies over 1 that rounding or uncertainty may explain."""


@dataclass(frozen=True)
class Contents:
    """Atoms of one cell: element, ``fractions`` [n, 3] from 0 to below 1, occupancies [n], ``u2`` [n] (nan: not stated), the label of
    the entry that each comes from, and ``notes`` on merged entries."""

    symbols: tuple[str, ...]
    fractions: np.ndarray
    occupancies: np.ndarray
    u2: np.ndarray
    labels: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def content(self) -> dict[str, float]:
        """Atoms of each element in the cell, by occupancy."""
        counts: dict[str, float] = {}
        for symbol, share in zip(self.symbols, self.occupancies, strict=True):
            counts[symbol] = counts.get(symbol, 0.0) + float(share)
        return counts


@dataclass
class _Atoms:
    """Atoms in preparation: ``owner`` is the index of each one's site, ``present`` whether it remains."""

    owner: np.ndarray
    fractions: np.ndarray
    occupancy: np.ndarray
    error: np.ndarray
    present: np.ndarray


def fill(cell: np.ndarray, sites: list[Site], setting: Setting) -> Contents:
    """All atoms of the cell. ValueError for atoms that overlap, and occupancies of one site that sum to more than 1; both name sites and elements."""
    notes: list[str] = []
    finest = np.min(np.stack([site.error for site in sites]), axis=0)
    orbits = []
    merged, split = [], []
    for site in sites:
        images, displacement, is_split = _orbit(cell, site, setting, finest)
        orbits.append(images)
        if displacement > 1e-4:
            merged.append((site.label, displacement))
        if is_split:
            split.append(site.label)
    if merged:
        furthest = max(distance for _, distance in merged)
        names = ", ".join(label for label, _ in merged[:6]) + (" ..." if len(merged) > 6 else "")
        notes.append(f"rounded special positions are corrected: {names}, by up to {furthest:.4f} angstrom")
    if split:
        notes.append(
            f"split sites, whose images are nearer than {OVERLAP_DISTANCE} angstrom to each other: {', '.join(split[:6])}"
        )
    counts = [len(orbit) for orbit in orbits]
    owner = np.repeat(np.arange(len(sites)), counts)
    atoms = _Atoms(
        owner, np.concatenate(orbits), np.array([sites[number].occupancy for number in owner], dtype=np.float64),
        np.array([sites[number].occupancy_error for number in owner], dtype=np.float64), np.ones(len(owner), dtype=bool),
    )  # fmt: skip
    _merge_repeated(cell, sites, atoms, notes)
    _check_occupancies(cell, sites, atoms, notes)
    remaining = np.flatnonzero(atoms.present)
    return Contents(
        tuple(sites[atoms.owner[atom]].element for atom in remaining), atoms.fractions[remaining], atoms.occupancy[remaining],
        np.array([sites[atoms.owner[atom]].u2 for atom in remaining]), tuple(sites[atoms.owner[atom]].label for atom in remaining), tuple(notes),
    )  # fmt: skip


def _orbit(cell: np.ndarray, site: Site, setting: Setting, finest: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """Images [n, 3] of a site, how far it was moved onto a special position in angstrom, and whether it is a split site.

    Images nearer to the site than the precision of its decimals are the site itself; their mean is the special position. ``finest``: the error of the
    most precise position in the file, within which a partly filled site may be split.
    """
    position = site.position
    wide = _stabiliser(cell, position, setting, site.error)
    narrow = _stabiliser(cell, position, setting, np.minimum(site.error, finest)) | (
        wide & _near(cell, position, setting, UNRESOLVED_DISTANCE)
    )
    can_split = site.occupancy * wide.sum() / narrow.sum() <= 1.0 + OCCUPANCY_TOLERANCE
    same = narrow if can_split else wide
    images = position @ setting.rotations.transpose(0, 2, 1) + setting.translations
    shift = images - position[None]
    settled = position + (shift - np.round(shift))[same].mean(axis=0)
    displacement = float(np.linalg.norm((settled - position) @ cell))
    images = (settled @ setting.rotations.transpose(0, 2, 1) + setting.translations + 1e-9) % 1.0 - 1e-9
    images = np.where(np.abs(images) < 1e-9, 0.0, images)
    unique = _without_repeats(cell, images)
    if len(unique) * same.sum() != len(images):
        gap = _nearest(cell, images, ROUNDING_DISTANCE)
        raise ValueError(
            f"images of atom {site.label} ({site.element}) at {_fractions_text(position)} lie {gap:.3f} angstrom apart in {setting.described}, too near for "
            "two atoms and too far for rounding; give its position with more decimals"
        )
    near = pairs(cell, unique, OVERLAP_DISTANCE)[2] if len(unique) > 1 else np.zeros(0)
    return unique, displacement, bool(len(near) and site.occupancy < 1.0)


def _near(cell: np.ndarray, position: np.ndarray, setting: Setting, reach: float) -> np.ndarray:
    """Which operations [n] move a position by no more than ``reach`` angstrom."""
    shift = position @ setting.rotations.transpose(0, 2, 1) + setting.translations - position[None]
    return np.linalg.norm((shift - np.round(shift)) @ cell, axis=1) <= reach


def _stabiliser(cell: np.ndarray, position: np.ndarray, setting: Setting, error: np.ndarray) -> np.ndarray:
    """Which operations [n] leave a position unchanged, when its fractions may be off by ``error`` [3]."""
    shift = position @ setting.rotations.transpose(0, 2, 1) + setting.translations - position[None]
    shift -= np.round(shift)
    reach = np.abs(setting.rotations - np.eye(3)[None]) @ error + 1e-5
    return np.all(np.abs(shift) <= reach, axis=1) & _near(cell, position, setting, ROUNDING_DISTANCE)


def _without_repeats(cell: np.ndarray, images: np.ndarray) -> np.ndarray:
    difference = images[:, None] - images[None]
    difference -= np.round(difference)
    same = np.linalg.norm(difference @ cell, axis=2) < 1e-4
    return images[[not same[number, :number].any() for number in range(len(images))]]


def _nearest(cell: np.ndarray, images: np.ndarray, limit: float) -> float:
    difference = images[:, None] - images[None]
    distance = np.linalg.norm((difference - np.round(difference)) @ cell, axis=2)
    return float(distance[distance > 1e-4].min(initial=limit))


def _merge_repeated(cell: np.ndarray, sites: list[Site], atoms: _Atoms, notes: list[str]) -> None:
    """Merge entries of one element at one position: repeated entries, or shares of one site."""
    i, j, distance = pairs(cell, atoms.fractions, ROUNDING_DISTANCE)
    united: dict[tuple[int, int, str], int] = {}
    for atom, other, gap in sorted(zip(i.tolist(), j.tolist(), distance.tolist(), strict=True)):
        first, second = sites[atoms.owner[atom]], sites[atoms.owner[other]]
        error = np.minimum(np.minimum(first.error, second.error), LARGEST_FRACTION_ERROR)
        reach = min(2.0 * float(np.linalg.norm(error @ np.abs(cell))) + 1e-3, ROUNDING_DISTANCE)
        if (
            first is second
            or first.element != second.element
            or gap > reach
            or not (atoms.present[atom] and atoms.present[other])
        ):
            continue
        allowed = _allowed_excess(np.array([first.occupancy_error, second.occupancy_error]))
        offset = first.position - second.position
        coincide = float(np.linalg.norm((offset - np.round(offset)) @ cell)) <= reach
        shares = atoms.occupancy[atom] + second.occupancy <= 1.0 + allowed and (
            coincide or first.charge != second.charge or first.occupancy != second.occupancy
        )
        if not shares and abs(first.occupancy - second.occupancy) > 1e-6:
            continue
        if shares:
            atoms.occupancy[atom] = min(atoms.occupancy[atom] + second.occupancy, 1.0)
        atoms.present[other] = False
        key = (int(atoms.owner[atom]), int(atoms.owner[other]), "shared" if shares else "repeated")
        united[key] = united.get(key, 0) + 1
    for (first_site, second_site, kind), count in list(united.items())[:6]:
        first, second = sites[first_site], sites[second_site]
        if kind == "shared":
            total = first.occupancy + second.occupancy
            notes.append(
                f"{first.label} and {second.label} are {first.element} on one site: occupancies added to {total:g}"
            )
        else:
            notes.append(
                f"{second.label} repeats {first.label} at {count} {'position' if count == 1 else 'positions'}: counted once"
            )
    if len(united) > 6:
        notes.append(f"{len(united) - 6} more entries that repeat others are counted once")


def _check_occupancies(cell: np.ndarray, sites: list[Site], atoms: _Atoms, notes: list[str]) -> None:
    """Scale occupancies of a site that exceed 1 by rounding; ValueError, with site, elements and sum, where they exceed it by more."""
    index = np.flatnonzero(atoms.present)
    occupancy = atoms.occupancy[index]
    i, j, distance = pairs(cell, atoms.fractions[index], OVERLAP_DISTANCE)
    load, error = occupancy.copy(), [[atoms.error[atom]] for atom in index]
    near: list[list[int]] = [[] for _ in index]
    extent = np.zeros(len(index))
    for first, second, gap in zip(i.tolist(), j.tolist(), distance.tolist(), strict=True):
        for atom, neighbour in ((first, second), (second, first)) if first != second else ((first, first),):
            load[atom] += occupancy[neighbour]
            error[atom].append(atoms.error[index[neighbour]])
            near[atom].append(neighbour)
            extent[atom] = max(extent[atom], gap)
    for number in np.argsort(-load):
        if load[number] <= 1.0 + 1e-9:
            break
        members = [int(number), *near[number]]
        if load[number] > 1.0 + _allowed_excess(np.array(error[number])):
            _refuse_overlap(
                [sites[atoms.owner[index[member]]] for member in members],
                [float(occupancy[member]) for member in members],
                float(extent[number]),
            )
    over = load > 1.0 + 1e-9
    if over.any():
        scale = np.array([max(load[[number, *near[number]]]) for number in range(len(index))])
        atoms.occupancy[index] = np.where(scale > 1.0 + 1e-9, occupancy / scale, occupancy)
        names = sorted({sites[atoms.owner[member]].label for member in index[over]})
        notes.append(f"occupancies that sum to {load.max():g} by rounding are scaled to 1: {', '.join(names[:6])}")


def _allowed_excess(errors: np.ndarray) -> float:
    """Excess over 1 that summed occupancies may have by their last digits or uncertainties."""
    return min(float(errors.sum()), OCCUPANCY_TOLERANCE) + 1e-9


def _refuse_overlap(members: list[Site], shares: list[float], extent: float) -> None:
    total = sum(shares)
    parts = " + ".join(f"{site.element} {share:g} ({site.label})" for site, share in zip(members, shares, strict=True))
    where = _fractions_text(members[0].position)
    if len(members) == 1:
        raise ValueError(
            f"the occupancy of site {members[0].label} ({members[0].element}) at {where} is {total:g}; give a share from 0 to 1"
        )
    if extent > 1e-3:
        raise ValueError(
            f"atoms at site {members[0].label}, {where}, overlap: within {extent:.3f} angstrom of each other are {parts}, whose occupancies sum to {total:g}; "
            "mend places or symmetry, or give occupancies that sum to at most 1"
        )
    raise ValueError(
        f"site {members[0].label} at {where} is overfull: the occupancies {parts} sum to {total:g}; they may sum to 1 at most"
    )


def _fractions_text(position: np.ndarray) -> str:
    return "(" + ", ".join(f"{fraction:g}" for fraction in position) + ")"
