"""EMD files: Thermo Fisher's Velox and Berkeley's EMD 1.0, read by RosettaSciIO.

RosettaSciIO takes the mean step of a dimension whose steps differ; such a file is refused here. Units of attributes of the microscope, sample and user
groups are kept beside them.
"""

import h5py
import numpy as np
from rsciio.emd import file_reader

from instrument.readers.formats.hdf5.guards import check
from instrument.readers.formats.items import Item, axis_along


def holds(file: h5py.File) -> bool:
    """Whether a file has a group that Berkeley's EMD marks as one of data."""
    marked: list[str] = []
    file.visititems(lambda name, entry: marked.append(name) if "emd_group_type" in entry.attrs else None)
    return bool(marked)


def read(path: str, max_bytes: int) -> list[Item]:
    """The images and spectra of a file."""
    check(path, max_bytes)
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, entry: _check_dimension(path, name, entry))
    return file_reader(path)


def _check_dimension(path: str, name: str, entry: object) -> None:
    """VendorError for a dimension (dim1, dim2, ...) whose steps differ."""
    if (
        isinstance(entry, h5py.Dataset)
        and name.rpartition("/")[2][:3] == "dim"
        and entry.ndim == 1
        and entry.dtype.kind in "iuf"
    ):
        axis_along(path, name, np.asarray(entry[...], dtype=np.float64), "")
