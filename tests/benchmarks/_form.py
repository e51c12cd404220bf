"""The three forms of a benchmark: whole, for its numbers; short, a part judged within minutes; smoke, which only shows that every part runs."""

import enum


class Form(enum.IntEnum):
    """How much of a benchmark is run. Both reduced forms are true, the whole one is false; a pair or triple may be indexed by it.

    SMOKE runs every part at the smallest size at which it has a meaning. Its numbers are not judged: a few samples miss bars that many hold.
    """

    WHOLE = 0
    SHORT = 1
    SMOKE = 2
