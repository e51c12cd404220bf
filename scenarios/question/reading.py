"""Questions from TOML files and presets, read strictly."""

from pathlib import Path
from typing import Any

import msgspec

import scenarios
from reconstruct.api.shipped import shipped_names
from scenarios.acquire.scenario import read_toml
from scenarios.io.errors import BadInput
from scenarios.question.options import AnnularOption, SegmentedOption, SpectrumOption
from scenarios.question.parts import SearchPlan
from scenarios.question.tables import SPECTRAL, Question
from twin.simulation.plan.strict_reading import convert

KINDS = ("detect", "measure", "distinguish", "tune", "map")
RANGES = ("semiangle_mrad", "defocus", "inner_mrad", "outer_mrad", "reach_mrad", "aperture_mrad", "cs_mm")
"""Keys of a search that are bounds."""
PRESETS = Path(scenarios.__file__).parent / "presets" / "questions"


def question_names() -> tuple[str, ...]:
    """Names of the questions that ship."""
    return tuple(shipped_names(PRESETS))


def is_question(name: str) -> bool:
    """Whether ``name`` is a preset of questions, or a TOML file whose kind is one of theirs; a file that cannot be read is none."""
    if name in question_names():
        return True
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        return False
    try:
        return read_toml(path).get("kind") in KINDS
    except BadInput:
        return False


def read_question(name: str) -> Question:
    """The question in a TOML file, or a preset by its name; BadInput naming the file, the key, the problem and the cure."""
    if name in question_names():
        return question_of({**read_toml(PRESETS / f"{name}.toml"), "folder": str(PRESETS)}, name)
    path = Path(name)
    if path.suffix != ".toml":
        raise BadInput(name, "is no TOML file and no preset", f"Presets are {', '.join(question_names())}.")
    values = read_toml(path)
    values.setdefault("folder", str(path.resolve().parent))
    return question_of(values, str(path))


def question_of(values: dict[str, Any], origin: str) -> Question:
    """A question of plain values that come from ``origin``."""
    question = convert(values, Question, origin)
    if question.specimen.size or question.specimen.repeats:
        raise BadInput(
            origin, "key specimen.size: the field of a question is compute.cells", "Leave size and repeats out."
        )
    if question.specimen.phonons is not None or question.specimen.thermal != "none":
        raise BadInput(origin, "key specimen.phonons: a question has compute.phonons", "Leave phonons and thermal out.")
    has = question.instrument.techniques
    if not question.options():
        raise BadInput(
            origin, f"key instrument.techniques: none of {', '.join(has)} is weighed by default", "Give an [[option]]."
        )
    _check_map(question, origin)
    _check_spectra(question, origin)
    for number, option in enumerate(question.options()):
        technique = str(option.__struct_config__.tag)
        if has and technique not in has:
            problem = f"key option[{number}].technique: the instrument has no {technique}"
            raise BadInput(origin, problem, f"Leave it out, or add it to instrument.techniques ({', '.join(has)}).")
        if isinstance(option, AnnularOption | SegmentedOption):
            outer = question.instrument.semiangle_mrad if option.outer_mrad is None else option.outer_mrad
            if not option.inner_mrad < outer:
                problem = f"key option[{number}].inner_mrad: {option.inner_mrad:g} is not below outer_mrad, {outer:g}"
                raise BadInput(origin, problem, "Give a ring from the smaller to the larger angle, in mrad.")
    return question if question.search is None else with_search(question, origin)


def with_search(question: Question, origin: str) -> Question:
    """The question with a search over settings, the usual one where it has none; BadInput, naming the key, for a range that is none."""
    search = question.search or SearchPlan()
    if question.kind != "detect":
        problem = f'key search: settings of a question of kind "{question.kind}" are not searched'
        raise BadInput(origin, problem, 'Leave it out, or ask with kind = "detect".')
    for name in RANGES:
        pair = getattr(search, name)
        if pair is not None and not pair[0] < pair[1]:
            problem = f"key search.{name}: from {pair[0]:g} to {pair[1]:g} nothing can vary"
            raise BadInput(origin, problem, "Give a lower and a higher bound, or leave it out of search.vary.")
    return msgspec.structs.replace(question, search=search)


def _check_spectra(question: Question, origin: str) -> None:
    """What spectra alone tell is asked of no other option, nor of spectra what they do not tell."""
    if question.kind == "distinguish":
        for number, option in enumerate(question.options()):
            if isinstance(option, SpectrumOption):
                problem = f'key option[{number}].technique: "eels" is not weighed between structures'
                raise BadInput(origin, problem, 'Leave the option out, or ask with kind = "detect" or "measure".')
    if question.kind != "measure" or question.quantity is None:
        return
    kind = question.quantity.kind
    for number, option in enumerate(question.options()):
        spectrum = isinstance(option, SpectrumOption)
        if (kind in SPECTRAL and not spectrum) or (spectrum and kind not in (*SPECTRAL, "composition")):
            problem = f'key option[{number}].technique: "{option.__struct_config__.tag}" tells nothing of {kind}'
            told = ", ".join((*SPECTRAL, "composition"))
            raise BadInput(
                origin, problem, f'Leave the option out: "eels" tells {told}, the other techniques the rest.'
            )


def _check_map(question: Question, origin: str) -> None:
    """Area and mapped quantity belong to questions of kind "map", and to no others."""
    mapped = question.quantity is not None and question.quantity.kind == "map"
    if question.kind != "map":
        if mapped or question.area is not None:
            key = "area" if question.area is not None else "quantity.kind"
            problem = f'key {key}: goes with questions of kind "map", and this one is of kind "{question.kind}"'
            raise BadInput(origin, problem, 'Ask with kind = "map", or leave it out.')
        return
    if question.area is None:
        raise BadInput(origin, "key area is missing", "Add the table [area], with nx, ny and pixel.")
    if not mapped or question.quantity is None or question.quantity.name is None:
        raise BadInput(origin, "key quantity.name is missing", 'Add [quantity] with kind = "map" and name = "Ti L".')
    if question.asked.std is None:
        raise BadInput(origin, "key asked.std is missing", "Give the standard deviation that is asked for.")


def described() -> dict[str, str]:
    """Name and description of each question that ships."""
    return {name: read_question(name).description for name in question_names()}
