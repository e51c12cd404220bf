"""The code that a benchmark measures. Its results are those of this code and no other, so an interrupted run continues only with the same source."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = tuple(ROOT / name for name in ("twin", "instrument", "reconstruct", "learn", "scenarios"))


def code_key(*paths: Path) -> str:
    """A folder name for the Python and TOML files at and below ``paths``; FileNotFoundError for a path that does not exist."""
    code = hashlib.sha256()
    for path in paths:
        path.stat()
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in (".py", ".toml"):
                code.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return code.hexdigest()[:16]
