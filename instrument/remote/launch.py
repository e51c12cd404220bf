"""Instruments in processes of their own: the serving command, and starting it from Python.

The process prints one JSON object a line on stdout: {"event": "listening", ...addresses}, {"event": "progress", ...}
while it builds, and {"event": "ready", ...} at last, or {"event": "refused", ...} for input that cannot be used; its log
goes to stderr. It ends by itself when the process that launched it ends.
"""

import argparse
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from instrument.core.interface import Instrument, InstrumentLost
from instrument.remote.client import RemoteInstrument, TruthClient

KINDS = ("simulated", "replay", "field", "scan")


def parser(program: str = "emtwin instrument serve") -> argparse.ArgumentParser:
    """The options of the serving command."""
    options = argparse.ArgumentParser(
        program, description="Serve an instrument on a loopback port until it is closed or interrupted."
    )
    options.add_argument(
        "kind", help="simulated, replay, field, scan, or PACKAGE.MODULE:FUNCTION returning an instrument of your own"
    )
    options.add_argument("--port", type=int, default=0, help="port for commands (default: any that is free)")
    options.add_argument("--seed", type=int, default=0, help="seed of the hidden truth of what is simulated")
    options.add_argument("--preset", help="named configuration of the simulated microscope")
    options.add_argument(
        "--config", help="configuration: a JSON file, or a JSON object as such; its values override the preset's"
    )
    options.add_argument(
        "--rate", type=float, default=0.0, help="seconds of instrument time a second (default: time moves on command)"
    )
    options.add_argument("--cache", type=Path, help="folder for cached computations (default: none)")
    options.add_argument("--ticket", type=Path, help="file to write the truth endpoint's address and token to")
    options.add_argument("--data", type=Path, help="file of the recording to replay, or of what a scan lets expect")
    options.add_argument(
        "--survey", type=Path, help="file of its survey image (default: in the same file, or made of it)"
    )
    options.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    return options


def serve_main(argv: Sequence[str] | None = None, program: str = "emtwin instrument serve") -> int:
    """Serve until stopped. Returns the exit code: 0, or 2 with a message on stderr for bad input (SystemExit 2 for
    bad usage).
    """
    from instrument.remote.server import Server

    try:
        arguments = parser(program).parse_args(argv)
        if not 0 <= arguments.port <= 65535:
            raise ValueError(
                f"--port {arguments.port} is not a port; choose one from 1 to 65535, or 0 for any that is free"
            )
        if not 0 <= arguments.rate <= 1e5:
            raise ValueError(f"--rate {arguments.rate} is out of range; give a number from 0 to 100000")
        build = _builder(arguments)
        server = Server(
            build,
            f"tcp://127.0.0.1:{arguments.port}",
            rate=arguments.rate,
            ticket=arguments.ticket,
            parent=arguments.parent,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stop())
        _print_event("listening", address=server.address, readings=server.readings_address, pid=os.getpid())
        reporter = threading.Thread(target=_report, args=(server,), daemon=True)
        reporter.start()
        server.run()
    except ValueError as error:
        where = getattr(error, "input", None) or getattr(error, "path", None)
        if where is not None:
            _print_event("refused", input=where, problem=getattr(error, "problem", ""), cure=getattr(error, "cure", ""))
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    if server.working:
        sys.stderr.flush()
        os._exit(0)  # the instrument is in something that cannot be interrupted, and nothing of it is worth keeping
    return 0


def _report(server) -> None:
    """Print the progress of the build on stdout until it is finished."""
    last_progress = None
    while server.console.stage == "starting":
        if (news := (server.console.text, server.console.fraction)) != last_progress:
            last_progress = news
            _print_event("progress", text=news[0], fraction=news[1])
        time.sleep(0.05)
    if server.console.stage == "ready":
        _print_event(
            "ready", address=server.address, readings=server.readings_address, pid=os.getpid(), jax="jax" in sys.modules
        )


def _print_event(event: str, **fields: Any) -> None:
    try:
        print(json.dumps({"event": event, **fields}), flush=True)
    except BrokenPipeError:
        # nobody listens any more; the server's own checks decide whether to go on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _configuration(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    inline = text.lstrip().startswith("{")
    origin = "--config" if inline else text
    try:
        content = json.loads(text if inline else Path(text).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the configuration {origin}: {error}; give a JSON file or object") from None
    if not isinstance(content, dict):
        raise ValueError(f"the configuration {origin} is a {type(content).__name__}; give a JSON object")
    return content


def _preset(name: str | None, presets: dict[str, Any]) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in presets:
        raise ValueError(f"no preset is called {name!r}; choose {', '.join(presets)}")
    return msgspec.to_builtins(presets[name])


def _builder(arguments: argparse.Namespace) -> Callable[[Callable[[str, float], None]], Instrument]:
    """What builds the instrument asked for; bad configuration is found here, before anything costly. ValueError."""
    kind, config = arguments.kind, _configuration(arguments.config)
    if kind == "simulated":
        from instrument.simulation import instrument

        decoded = instrument.from_mapping(_preset(arguments.preset, instrument.presets()) | config)
        return lambda progress: instrument.SimulatedMicroscope(decoded, arguments.seed, arguments.cache, progress)
    if arguments.preset is not None:
        raise ValueError(f"--preset goes with simulated, not with {kind}; leave it out")
    if kind == "replay":
        from instrument import replay

        if arguments.data is None:
            raise ValueError("replay needs a recording; name its file with --data")
        return lambda progress: replay.open_replay(arguments.data, arguments.survey, config)
    if kind == "field":
        from instrument.simulation.field import instrument as field

        fields = field.from_mapping(config)
        return lambda progress: field.FieldMicroscope(fields, arguments.seed, arguments.cache, progress)
    if kind == "scan":
        from instrument.simulation.scan.instrument import open_scan

        if arguments.data is None:
            raise ValueError("scan needs what is to be expected of its pixels; name its file with --data")
        return lambda progress: open_scan(arguments.data, arguments.survey, config, arguments.seed, progress)
    module, colon, function = kind.partition(":")
    if not colon:
        raise ValueError(
            f"no kind of instrument is called {kind!r}; choose {', '.join(KINDS)} or PACKAGE.MODULE:FUNCTION"
        )
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot find the instrument {kind!r}: {error}; check the name and the Python path") from error
    return lambda progress: make(config, arguments.seed, arguments.cache, progress)


class Refused(ValueError):
    """Input that the instrument's process could not use: ``input`` names it, ``problem`` says what is wrong, ``cure`` what to do."""

    def __init__(self, input: str, problem: str, cure: str):
        super().__init__(f"{input}: {problem}. {cure}")
        self.input, self.problem, self.cure = input, problem, cure


class Launched:
    """An instrument's process. Use as a context manager, or call `stop`."""

    def __init__(self, process: subprocess.Popen, log: Path, folder: tempfile.TemporaryDirectory):
        self.process, self.log = process, log
        self.address, self.ticket = "", Path(folder.name) / "ticket"
        self.ready: dict[str, Any] = {}
        self.refused: dict[str, str] = {}
        self._folder = folder
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="instrument's stdout", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Read until the end, so that a full pipe cannot block the process."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def connect(self, timeout: float = 5.0) -> RemoteInstrument:
        return RemoteInstrument(self.address, timeout)

    def truth(self, timeout: float = 5.0) -> TruthClient:
        return TruthClient(self.ticket, timeout)

    def log_tail(self) -> str:
        """The end of what the process said on stderr; empty once it has been stopped."""
        return self.log.read_text(errors="replace").strip()[-2000:] if self.log.exists() else ""

    def stop(self, timeout: float = 5.0) -> None:
        """End the process and its group, by force if it takes longer than ``timeout`` seconds; harmless when it has
        ended.
        """
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._kill_group()
                self.process.wait()
        self._clean_up()

    def kill(self) -> None:
        """Kill the process group."""
        if self.process.poll() is None:
            self._kill_group()
            self.process.wait()
        self._clean_up()

    def _kill_group(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)

    def _clean_up(self) -> None:
        self._reader.join(1.0)
        if self.process.stdout is not None and not self._reader.is_alive():
            self.process.stdout.close()
        self._folder.cleanup()

    def __enter__(self) -> "Launched":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def launch(
    kind: str,
    *,
    seed: int = 0,
    config: dict[str, Any] | None = None,
    preset: str | None = None,
    rate: float = 0.0,
    port: int = 0,
    cache: Path | None = None,
    data: Path | None = None,
    survey: Path | None = None,
    progress: Callable[[str, float | None], None] | None = None,
    timeout: float = 900.0,
    cancel: threading.Event | None = None,
) -> Launched:
    """Start an instrument in a process (and process group) of its own, and wait until it is ready, or ``timeout``
    seconds.

    ValueError for bad input (the message gives the problem and the cure), InstrumentLost if the process ends in any other
    way. Setting ``cancel`` from another thread ends the start with InstrumentLost. The child ends when this process does.
    """
    folder = tempfile.TemporaryDirectory(prefix="emtwin-")
    log = Path(folder.name) / "log"
    command = [
        sys.executable,
        "-m",
        "instrument.remote.launch",
        kind,
        f"--seed={seed}",
        f"--rate={rate}",
        f"--port={port}",
    ]
    command += [f"--ticket={folder.name}/ticket", f"--parent={os.getpid()}"]
    command += [] if config is None else [f"--config={json.dumps(config)}"]
    command += [] if preset is None else [f"--preset={preset}"]
    command += [] if cache is None else [f"--cache={cache}"]
    command += [] if data is None else [f"--data={data}"]
    command += [] if survey is None else [f"--survey={survey}"]
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True, process_group=0,
            env={"OPENBLAS_NUM_THREADS": "1"} | os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
    launched = Launched(process, log, folder)
    try:
        _await_ready(launched, progress, timeout, cancel)
    except BaseException:
        launched.kill()
        raise
    return launched


def _await_ready(
    launched: Launched,
    progress: Callable[[str, float | None], None] | None,
    timeout: float,
    cancel: threading.Event | None,
) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            line = launched._lines.get(timeout=0.1)
        except queue.Empty:
            if cancel is not None and cancel.is_set():
                raise InstrumentLost("starting the instrument was given up") from None
            if time.monotonic() > deadline:
                tail = launched.log_tail()
                raise InstrumentLost(
                    f"the instrument was not ready within {timeout:g} s; its log ends: {tail}"
                ) from None
            continue
        if line is None:
            code = launched.process.wait()
            tail = launched.log_tail()
            if code == 2 and launched.refused:
                raise Refused(**launched.refused)
            if code == 2:
                raise ValueError(tail.removeprefix("error: "))
            raise InstrumentLost(
                f"the instrument ended with exit code {code} before it was ready; its log ends: {tail}"
            )
        event = _parse_event(line)
        if event["event"] == "progress" and progress is not None:
            progress(event["text"], event["fraction"])
        elif event["event"] == "refused":
            launched.refused = {name: str(event[name]) for name in ("input", "problem", "cure")}
        elif event["event"] == "ready":
            launched.address, launched.ready = event["address"], event
            return


def _parse_event(line: str) -> dict[str, Any]:
    """The event of that line; {"event": None} for a line that a library printed."""
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    return content if isinstance(content, dict) and "event" in content else {"event": None}


if __name__ == "__main__":
    sys.exit(serve_main())
