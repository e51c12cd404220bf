"""SerialEM's metadata beside an image file (FILE.mrc.mdoc): "key = value" for the file, then in sections [ZValue = n] for each image."""

import re
from pathlib import Path

from instrument.readers.signals import VendorError

MAX_BYTES = 20_000_000
_SECTION = re.compile(r"\[\s*ZValue\s*=\s*(\d+)\s*\]")
_PAIRS = {"StagePosition": ("x", "y"), "ImageShift": ("x", "y"), "FilterSlitAndLoss": ("slit", "loss")}
"""Keys with two numbers, and what each is."""

Entries = dict[str, str]


def beside(path: str) -> dict[str, object]:
    """What the .mdoc file beside an image file says: {"mdoc": {keys of the file, "first": those of its first image, "sections": their number}}; empty where
    there is none.

    VendorError for one that is too large to be of a microscope.
    """
    file = Path(f"{path}.mdoc")
    if not file.is_file():
        file = Path(path).with_suffix(".mdoc")
    if not file.is_file():
        return {}
    if file.stat().st_size > MAX_BYTES:
        raise VendorError(str(file), f"has more than {MAX_BYTES} bytes", "Move it away from the image file.")
    common, sections = parsed(file.read_text(encoding="utf-8", errors="replace"))
    first = sections[min(sections)] if sections else {}
    return {"mdoc": {**common, "first": first, "sections": len(sections)}}


def parsed(text: str) -> tuple[Entries, dict[int, Entries]]:
    """The keys of the file, and those of each section by its number. Keys with two numbers are split: "StagePosition_x"."""
    common: Entries = {}
    sections: dict[int, Entries] = {}
    entries: Entries | None = common
    for line in text.splitlines():
        line = line.strip()
        if match := _SECTION.fullmatch(line):
            entries = sections.setdefault(int(match[1]), {})
        elif line.startswith("["):
            entries = entries if line.startswith("[T") else None  # titles; sections of another kind are left out
        elif "=" in line and entries is not None:
            key, _, value = (part.strip() for part in line.partition("="))
            words = value.split()
            names = _PAIRS.get(key, ())
            if len(names) == len(words):
                entries.update({f"{key}_{name}": word for name, word in zip(names, words, strict=True)})
            elif value:
                entries[key] = value
    return common, sections
