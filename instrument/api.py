"""The Python interface: `connect` to an instrument that is served, and `simulated`, a microscope of one's own in another process."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from instrument.core.cache import usable_cache
from instrument.remote.client import RemoteInstrument, TruthClient
from instrument.remote.launch import Launched, launch

Progress = Callable[[str, float | None], None]
"""Called with the name of a step and the share of it that is done (None: not known)."""


def connect(address: str, timeout: float = 5.0, progress: Progress | None = None) -> RemoteInstrument:
    """The instrument that is served at ``address`` ("tcp://127.0.0.1:5555"), as ``emtwin instrument serve`` prints it; a context manager.

    ``timeout`` in second: how long to wait for an answer. One that is still starting is waited for, and ``progress`` is told the step and the share done.
    ValueError for a text that is no address; `InstrumentError` where nothing that speaks the protocol answers; afterwards every method raises `InstrumentLost`
    when the instrument has gone. Times are int64 ns UTC of the instrument's clock, lengths angstrom, angles radian; commands and units: `twin.channels`.

    >>> with connect(address) as microscope:  # that of an instrument which is served
    ...     time = microscope.apply({"C10": -90.0})
    ...     microscope.settings()["C10"]
    -90.0
    >>> connect("5555")
    Traceback (most recent call last):
        ...
    ValueError: address '5555' names no transport; give it as tcp://HOST:PORT
    """
    if not isinstance(address, str) or "://" not in address:
        raise ValueError(f"address {address!r} names no transport; give it as tcp://HOST:PORT")
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout}; give how many seconds to wait for an answer, above 0")
    return RemoteInstrument(address, timeout, progress)


def simulated(
    seed: int = 0, preset: str | None = None, *, config: Mapping[str, Any] | None = None, rate: float = 0.0, cache: Path | None = None,
    progress: Progress | None = None,
) -> "SimulatedInstrument":  # fmt: skip
    """Start a simulated microscope in a process of its own and return it, connected; it ends with `close`, with the ``with`` block, or with this process.

    ``seed`` of its hidden truth; ``preset``: "default", "session" (half an hour of drift with known causes), or one that differs from what an operator would
    expect ("thick", "c30", "tilted", "amorphous", "angles", "other-structure"); ``config``: fields of its configuration that override the preset's. ``rate``:
    seconds of its time a second; at 0 time moves with commands only. ``cache``: folder of specimens that were computed (default: the user's cache of emtwin;
    a new specimen takes half a minute); ``progress`` is told the step and the share that is done.

    ValueError naming the input, the problem and the cure for a preset, a configuration or a rate that cannot be; InstrumentLost if the process ends.

    >>> from twin.records import Scan
    >>> with simulated(seed=3, config=small) as microscope:  # ``small``: a thin specimen on a coarse grid, to be quick
    ...     frame = microscope.acquire(Scan(shape=(4, 4)))
    >>> frame.data.shape, frame.origin
    ((4, 4), 'measured')
    >>> simulated(seed=1.5)
    Traceback (most recent call last):
        ...
    ValueError: seed is 1.5; give a whole number
    """
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(f"seed is {seed!r}; give a whole number")
    if config is not None and not isinstance(config, Mapping):
        raise ValueError(f"config is a {type(config).__name__}; give a mapping of the configuration's fields to values")
    if not (isinstance(rate, (int, float)) and 0 <= rate <= 1e5):
        raise ValueError(f"rate is {rate!r}; give seconds of instrument time a second, from 0 to 100000")
    fields = None if config is None else json.loads(json.dumps(dict(config)))
    folder = usable_cache() if cache is None else Path(cache)
    launched = launch("simulated", seed=seed, config=fields, preset=preset, rate=rate, cache=folder, progress=progress)
    try:
        return SimulatedInstrument(launched, progress)
    except BaseException:
        launched.stop()
        raise


class SimulatedInstrument(RemoteInstrument):
    """A simulated microscope whose process is ended with this connection; made by `simulated`."""

    def __init__(self, launched: Launched, progress: Progress | None = None):
        self._launched = launched
        super().__init__(launched.address, progress=progress)

    def truth(self) -> TruthClient:
        """The hidden truth, for scoring; it answers once the microscope was sealed (`seal`)."""
        return self._launched.truth()

    def close(self) -> None:
        """Close this connection and end the process; may be called twice."""
        super().close()
        self._launched.stop()
