"""What the library knows of recordings like those of a plan, and how well plans held for them."""

from typing import Any

from scenarios.library.job import like
from scenarios.library.store import library_file

COUNT = 3
"""Nearest records that are shown."""


def past_of(question: str) -> dict[str, Any] | None:
    """The nearest records of the library to ``question`` (a preset or a TOML file), as `scenarios.library.job.like` has them; None where there is no library,
    or nothing in it."""
    if not library_file().exists():
        return None
    past = like(question, count=COUNT)
    return past if past["matches"] else None


def past_lines(past: dict[str, Any] | None) -> list[str]:
    """The same in words, a line for each record and one for how plans held."""
    if past is None:
        return []
    lines = [f"In the library, {each['name']}: {'; '.join(each['why'])}." for each in past["matches"]]
    power = past["held"]["power"]
    if power is not None:
        lines.append(
            f"Plans of these promised a mean power of {power['predicted']:.2f}; reached were {power['reached']:.2f} (of {power['count']})."
        )
    std = past["held"]["std"]
    if std is not None and std["ratio"] is not None:
        lines.append(f"Standard deviations reached were {std['ratio']:.2f} times those planned (of {std['count']}).")
    return lines
