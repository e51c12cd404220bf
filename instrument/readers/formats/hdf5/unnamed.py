"""Files named only .h5, by what is in them."""

import h5py

from instrument.readers.formats.hdf5 import emd, hyperspy, nexus, nion
from instrument.readers.formats.hdf5.guards import check
from instrument.readers.formats.items import Item
from instrument.readers.signals import VendorError

_READERS = (nion, nexus, hyperspy, emd)


def read(path: str, max_bytes: int) -> list[Item]:
    """Nion Swift, NeXus, HyperSpy and Berkeley's EMD under the name .h5. VendorError for other contents."""
    check(path, max_bytes)
    with h5py.File(path, "r") as file:
        reader = next((reader for reader in _READERS if reader.holds(file)), None)
    if reader is None:
        cure = "Give a file of Nion Swift, NeXus, HyperSpy or Berkeley's EMD, or export it to one of them."
        raise VendorError(path, "is an HDF5 file of no format that is read", cure)
    return reader.read(path, max_bytes)
