"""``python -m tests.checkers FOLDER``: make the environments in FOLDER, and run the tests that ask the validators in them.

pynxtools with pynxtools-em checks NXem (1.1 GB), roc-validator checks RO-Crate, exspy gives spectra and takes maps. Their environments are made once, and kept.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = {
    "EMTWIN_PYNX": ("pynx", ["pynxtools>=0.16,<0.17", "pynxtools-em>=0.4.6,<0.5"]),
    "EMTWIN_ROCRATE": ("rocrate", ["roc-validator>=0.13,<0.14"]),
    "EMTWIN_EXSPY": ("exspy", ["exspy>=0.3,<0.4", str(ROOT)]),
}
"""Variable that names its python: name of the environment, what is installed there."""
TESTS = ("tests/instrument/export", "tests/scenarios/export", "tests/reconstruct/api/test_hyperspy.py")


def environment(folder: Path, packages: list[str]) -> Path:
    """The python of an environment with ``packages``; made where it is not there yet."""
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.is_file():
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        done.touch()
    return python


def main(folder: Path) -> int:
    """Exit code of the tests."""
    pythons = {name: environment(folder / kind, packages) for name, (kind, packages) in ENVIRONMENTS.items()}
    named = {name: str(python) for name, python in pythons.items()}
    print("\n".join(f"export {name}={python}" for name, python in named.items()))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *TESTS], cwd=ROOT, env={**os.environ, **named}
    ).returncode


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.checkers FOLDER")
    sys.exit(main(Path(sys.argv[1]).absolute()))
