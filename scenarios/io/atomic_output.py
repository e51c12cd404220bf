"""Output files: checked before the work, and written atomically."""

from pathlib import Path

from scenarios.io.errors import BadInput

FIGURES = (".png", ".svg")


def new_file(out: Path, option: str = "--out") -> None:
    """BadInput unless a file can be made at ``out``, which the user gave by ``option``: it does not exist, and its folder does."""
    if out.exists() or out.is_symlink():
        raise BadInput(f"{option} {out}", "exists already", "Name a file that does not exist.")
    if not out.resolve().parent.is_dir():
        raise BadInput(f"{option} {out}", f"{out.parent} is not a folder", "Name a file in a folder that exists.")


def new_files(out: Path | None, figure: Path | None) -> None:
    """The same for what a user gave by --out and --figure, where he did; a figure is of a kind that can be drawn."""
    if out is not None:
        new_file(out)
    if figure is not None:
        if figure.suffix not in FIGURES:
            raise BadInput(f"--figure {figure}", "is neither .png nor .svg", "Name a file of one of them.")
        new_file(figure, "--figure")


def write_whole(content: bytes, out: Path) -> None:
    """Write a file, whole or not at all; an existing one is replaced."""
    draft = out.with_name(f".{out.name}.draft")
    try:
        draft.write_bytes(content)
        draft.replace(out)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
