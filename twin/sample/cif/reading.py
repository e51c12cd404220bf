"""Reads a CIF: the atoms of its unit cell, in the setting that agrees with the file's formula, density and distances."""

from typing import NamedTuple

import numpy as np

from twin.sample.cif.block import Block, read_block, read_cell
from twin.sample.cif.checks import Stated, Verdict, judge, read_stated
from twin.sample.cif.contents import Contents, fill
from twin.sample.cif.elements import formula_text
from twin.sample.cif.sites import Site, read_sites
from twin.sample.cif.symmetry import METRIC_TOLERANCE, OPERATIONS, Incomplete, Setting, read_settings

DECISIVE_DISTANCE_RATIO = 1.05
"""Ratio of shortest distances (in covalent radii) from which on the roomier of two settings is taken for the right one."""


class Candidate(NamedTuple):
    """The cell's contents in one setting, and how they agree with the file."""

    setting: Setting
    contents: Contents
    verdict: Verdict

    @property
    def sound(self) -> bool:
        """Whether nothing contradicts it."""
        return not self.verdict.contradictions

    def same(self, other: "Candidate") -> bool:
        """Whether both are the same atoms, as far as numbers and shortest distance tell."""
        content, other_content = self.contents.content, other.contents.content
        same_content = set(content) == set(other_content) and all(
            abs(content[symbol] - other_content[symbol]) < 1e-3 for symbol in content
        )
        return same_content and abs(self.verdict.distance - other.verdict.distance) < 1e-3

    @property
    def described(self) -> str:
        """``Si8 in the cell, 2.35 angstrom apart at least``."""
        return f"{formula_text(self.contents.content)} in the cell, {self.verdict.distance:.2f} angstrom apart at least"


class Read(NamedTuple):
    """A structure read from a file: ``cell`` [3, 3] vectors as rows in angstrom, the ``contents``, the space group, remarks (``notes``)
    and contradictions within the file (``contradictions``)."""

    name: str
    cell: np.ndarray
    contents: Contents
    space_group: str
    distance: float
    notes: tuple[str, ...]
    contradictions: tuple[str, ...]


def read(text: str, name: str | None = None) -> Read:
    """The structure in a CIF's ``text``, of the data block ``name`` or the first with atoms. ValueError, naming the error and the cure, otherwise."""
    block, notes = read_block(text, name)
    cell = read_cell(block)
    stated, further_notes = read_stated(block)
    notes += further_notes
    sites, further_notes = read_sites(block, cell, set(stated.formula))
    notes += further_notes
    block, further_notes = _without_broken_list(block)
    notes += further_notes
    ranks, further_notes = read_settings(block)
    notes += further_notes
    chosen, said, doubts = choose(cell, sites, ranks, stated)
    change = chosen.setting.metric_change(cell)
    if change > 1e-4:
        notes.append(f"the cell departs from its symmetry by {100 * change:.2g} %")
    return Read(
        block.name, cell, chosen.contents, chosen.setting.described, chosen.verdict.distance,
        (*notes, *said, *chosen.contents.notes, *chosen.verdict.notes), (*doubts, *chosen.verdict.contradictions),
    )  # fmt: skip


def _without_broken_list(block: Block) -> tuple[Block, list[str]]:
    """``block`` without its list of operations where that is no group and a name, a Hall symbol or a number is there to go by."""
    try:
        read_settings(block)
    except Incomplete as error:
        reduced = block._replace(
            pairs={tag: value for tag, value in block.pairs.items() if tag not in OPERATIONS},
            loops=tuple(loop for loop in block.loops if not any(tag in loop for tag in OPERATIONS)),
        )
        ranks, notes = read_settings(reduced)
        if any("no symmetry is stated" in note for note in notes) or not ranks:
            raise
        problem = str(error).rpartition("; ")[0]
        return reduced, [f"{problem}; the space group is taken from {ranks[0][0].source}"]
    return block, []


def choose(
    cell: np.ndarray, sites: list[Site], ranks: list[list[Setting]], stated: Stated
) -> tuple[Candidate, list[str], list[str]]:
    """The setting that agrees with the file, notes on the choice, and contradictions.

    ValueError where no setting makes a structure, or operations and name make different ones and nothing in the file decides.
    """
    candidates: list[list[Candidate]] = []
    refusals: list[ValueError] = []
    for rank in ranks:
        group = []
        for setting in rank:
            try:
                group.append(_candidate(cell, sites, setting, stated))
            except ValueError as error:
                refusals.append(error)
        candidates.append(group)
    everyone = [candidate for group in candidates for candidate in group]
    if not everyone:
        raise refusals[0]
    source_rank = next(
        (number for number, group in enumerate(candidates) if any(candidate.sound for candidate in group)), None
    )
    if source_rank is None:
        best = min(everyone, key=lambda candidate: len(candidate.verdict.contradictions))
        return best, _deduced(best, ranks, everyone), []
    best = _largest_distances([candidate for candidate in candidates[source_rank] if candidate.sound])
    notes = _deduced(best, ranks, everyone)
    doubts = []
    for source, settings in enumerate(ranks):
        first = settings[0]
        if source == 0 or not best.setting.number or not first.number or first.number == ranks[0][0].number:
            continue
        said = f"{ranks[0][0].source} is of {ranks[0][0].described}, but {first.source} is of {first.described}: {best.setting.source} was followed"
        if candidates[source] and all(candidate.same(best) for candidate in candidates[source]):
            notes.append(f"{said}; the atoms are the same")
            continue
        doubts.append(said)
        rivals = [candidate for candidate in candidates[source] if candidate.sound and not candidate.same(best)]
        if rivals and source_rank == 0:
            raise ValueError(
                f"{best.setting.source} ({best.setting.described}) makes {best.described}; {first.source} ({first.described}) makes {rivals[0].described}; "
                "nothing in the file decides between them: remove the wrong one, or add _chemical_formula_sum and _cell_formula_units_Z"
            )
    return best, notes, doubts


def _candidate(cell: np.ndarray, sites: list[Site], setting: Setting, stated: Stated) -> Candidate:
    change = setting.metric_change(cell)
    if change > METRIC_TOLERANCE:
        a, b, c = np.linalg.norm(cell, axis=1)
        directions = cell / np.array([a, b, c])[:, None]
        angles = np.degrees(
            np.arccos(
                np.clip(
                    [directions[1] @ directions[2], directions[0] @ directions[2], directions[0] @ directions[1]], -1, 1
                )
            )
        )
        shown = f"{a:.3f}, {b:.3f}, {c:.3f} angstrom, {', '.join(f'{angle:.2f}' for angle in angles)} degrees"
        raise ValueError(
            f"the cell ({shown}) contradicts {setting.described}, which {setting.source} states: its operations change lengths by {100 * change:.0f} %; "
            "mend the cell, or name the space group with its setting"
        )
    contents = fill(cell, sites, setting)
    return Candidate(setting, contents, judge(cell, contents, stated))


def _largest_distances(sound: list[Candidate]) -> Candidate:
    """The consistent setting with clearly the largest distances between atoms. ValueError if another with other atoms has distances as large."""
    best = max(sound, key=lambda candidate: candidate.verdict.tightness)
    for candidate in sound:
        if candidate.verdict.tightness * DECISIVE_DISTANCE_RATIO > best.verdict.tightness and not candidate.same(best):
            raise ValueError(
                f"{best.setting.source} does not say which setting, and nothing in the file decides between {best.setting.described} ({best.described}) and "
                f"{candidate.setting.described} ({candidate.described}); name the setting (as in 'F d -3 m:2'), or add _chemical_formula_sum"
            )
    return best


def _deduced(best: Candidate, ranks: list[list[Setting]], candidates: list[Candidate]) -> list[str]:
    """Notes on a setting that the file does not state in full."""
    rank = next(settings for settings in ranks if best.setting in settings)
    notes = []
    if len(rank) > 1:
        others = [
            candidate
            for candidate in candidates
            if candidate.setting in rank and candidate.setting is not best.setting and not candidate.same(best)
        ]
        reason = (
            f"in place of {others[0].described} in {others[0].setting.described}"
            if others
            else "the only one that fits the cell and its atoms"
        )
        if others or len([candidate for candidate in candidates if candidate.setting in rank]) == 1:
            notes.append(
                f"{rank[0].source} does not say which setting: {best.setting.described} is taken ({best.described}), {reason}"
            )
    if rank is not ranks[0]:
        notes.append(f"the space group is taken from {best.setting.source}: {ranks[0][0].source} does not fit the file")
    return notes
