"""How a command ends: its exit code, its JSON, and the message for an error.

Exit codes: 0 done; 1 done, and something disagrees (the model is distrusted, a check fails); 2 bad input; 3 instrument lost; 130 interrupted.
Under ``--json`` stdout holds one object, also for an error: {"error": {"input", "problem", "cure"}}. All else goes to stderr.
"""

import contextlib
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

DONE, DISAGREES, BAD_INPUT, LOST, FAULT, INTERRUPTED = 0, 1, 2, 3, 70, 130

Outcome = tuple[int, dict[str, Any]]
"""A command's exit code, and what it prints under ``--json``."""


def guarded(
    job: Callable[[], Outcome], as_json: bool, session: Callable[[], Path | None], again: str | None = None
) -> int:
    """Run a command; turn an exception into a message and an exit code, with a traceback only for a fault of the program.

    ``session`` returns the folder that holds the results so far, ``again`` is the command that resumes it (default: ``acquire --resume``).
    """
    from instrument.core.interface import InstrumentError, InstrumentLost

    def begun() -> Path | None:
        folder = session()
        return folder if folder is not None and folder.is_dir() else None

    quiet = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    try:
        with quiet:
            code, result = job()
        if as_json:
            print_json(result)
        return code
    except KeyboardInterrupt:
        folder = begun()
        command = again or f"emtwin acquire --resume {folder}"
        cure = f"The results so far are kept. Resume with: {command}" if folder else "Nothing was written."
        return complain(as_json, INTERRUPTED, "keyboard", "interrupted", cure)
    except InstrumentLost as error:
        folder = begun()
        if folder is None:
            return complain(as_json, BAD_INPUT, "instrument", str(error), "Check its address, and that it runs.")
        cure = f"The results so far are kept. Resume with: emtwin acquire --resume {folder}"
        return complain(as_json, LOST, "instrument", str(error), cure)
    except InstrumentError as error:
        return complain(as_json, BAD_INPUT, "instrument", error.problem, error.cure)
    except ValueError as error:
        where = getattr(error, "input", None) or getattr(error, "path", None) or "input"
        problem = getattr(error, "problem", None) or str(error)
        return complain(as_json, BAD_INPUT, str(where), str(problem), str(getattr(error, "cure", "")))
    except OSError as error:
        where = str(error.filename or "system")
        return complain(
            as_json, BAD_INPUT, where, error.strerror or str(error), "Check the path, its permissions and the disk."
        )
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return complain(as_json, FAULT, "emtwin", f"internal error: {error!r}", "Please report the lines above.")


def complain(as_json: bool, code: int, where: str, problem: str, cure: str) -> int:
    """Say what is wrong: three lines on stderr, or one JSON object on stdout; returns the exit code."""
    if as_json:
        print_json({"error": {"input": where, "problem": problem, "cure": cure}})
    else:
        lines = [f"emtwin: {where}", f"  problem: {problem}"] + ([f"  cure:    {cure}"] if cure else [])
        print("\n".join(lines), file=sys.stderr)
    return code


def print_json(value: dict[str, Any]) -> None:
    """One object on stdout; numbers that are not finite become null."""
    print(json.dumps(_finite(value), allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    """Plain JSON values out of nested ones with numpy scalars, arrays and paths in them."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
