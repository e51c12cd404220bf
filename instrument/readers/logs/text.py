"""Text of logs: UTF-8 or UTF-16 with or without a byte order mark, decimal points or commas, complete lines only."""

import codecs

from instrument.readers.signals import VendorError

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
"""Byte order marks, and the encodings that they stand for."""
BROKEN = "its last line has no end: broken off, left out"


def encoding_of(begin: bytes) -> tuple[str, int]:
    """The encoding of a text by its first bytes, and the length of its mark: without one UTF-16 if every other byte is zero, else UTF-8."""
    for mark, encoding in MARKS:
        if begin.startswith(mark):
            return encoding, len(mark)
    pairs = begin[: len(begin) // 2 * 2]
    if len(pairs) >= 4 and not any(pairs[1::2]) and all(pairs[::2]):
        return "utf-16-le", 0
    if len(pairs) >= 4 and not any(pairs[::2]) and all(pairs[1::2]):
        return "utf-16-be", 0
    return "utf-8", 0


def whole_lines(path: str, cure: str) -> tuple[list[str], tuple[str, ...]]:
    """The lines of a text file without their ends, and what was left out in words: a last line without its end, since its last number may be
    a part of the one that was written. VendorError with ``cure`` where it is not text."""
    with open(path, "rb") as file:
        content = file.read()
    encoding, mark = encoding_of(content[:64])
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(content[mark:])
    except UnicodeDecodeError as error:
        problem = f"is not text in {encoding.upper()} ({error.reason} at byte {mark + error.start})"
        raise VendorError(path, problem, cure) from error
    if "\0" in text:
        raise VendorError(path, "is not text: it holds zero bytes", cure)
    half, _ = decoder.getstate()  # of a character that is broken off itself
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1], (BROKEN,) if lines[-1].strip() or half else ()


class Numbers:
    """Numbers of one log, with decimal points or, where ``comma`` allows it, commas; never both. ``mark`` is the one they have, if that is known."""

    def __init__(self, comma: bool = True, mark: str = ""):
        self._allowed = mark or (".," if comma else ".")
        self._mark = mark

    def read(self, text: str) -> float:
        """The number written in ``text``; ValueError if it is not a number, or its decimal mark differs from that of earlier numbers."""
        marks_present = {mark for mark in ".," if mark in text}
        if marks_present:
            (mark,) = marks_present if len(marks_present) == 1 else ("",)
            if mark not in self._allowed or mark != (self._mark or mark) or not mark:
                raise ValueError(f"{text!r} is not a number, or has another decimal mark than the numbers before it")
            self._mark = mark
        return float(text.replace(",", "."))
