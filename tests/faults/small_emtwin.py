"""The command line with the twin of a thin crystal, which takes seconds to build: ``python -m tests.faults.small_emtwin ARGUMENTS``."""

import functools

import scenarios.build
from scenarios.cli import main
from twin.scattering.gram_crystal import build_gram

scenarios.build.DEPTHS = (4, 6, 8)
scenarios.build.gram_crystal.build_gram = functools.partial(
    build_gram, seeds=(0,), untilted_seeds=(), detector=(60e-3, 90e-3), gpts=128, degree=2
)

if __name__ == "__main__":
    main()
