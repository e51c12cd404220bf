"""The formats that are read, by the extension of the file's name. Light: no parser is imported here."""

from pathlib import Path

from instrument.readers.formats.items import Format

HDF5 = b"\x89HDF\r\n\x1a\n"
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_ZIP = b"PK\x03\x04"

FORMATS: tuple[Format, ...] = (
    Format("DigitalMicrograph 3", (".dm3",), (b"\x00\x00\x00\x03",), "dm"),
    Format("DigitalMicrograph 4", (".dm4",), (b"\x00\x00\x00\x04",), "dm"),
    Format("EMD", (".emd",), (HDF5,), "hdf5.emd"),
    Format("EMPAD", (".xml",), (), "empad", marks=(b"<raw_file", b"<rawfile")),
    Format("HyperSpy", (".hspy",), (HDF5,), "hdf5.hyperspy"),
    Format("HyperSpy Zarr", (".zspy",), (), "hdf5.hyperspy", folder=True),
    Format("MRC", (".mrc", ".mrcs", ".st", ".rec", ".map", ".ali"), (), "mrc"),
    Format("NeXus", (".nxs", ".nx5"), (HDF5,), "hdf5.nexus"),
    Format("HDF5", (".h5", ".hdf5"), (HDF5,), "hdf5.unnamed"),
    Format("Nion Swift", (".ndata",), (_ZIP,), "hdf5.nion"),
    Format("Nion Swift HDF5", (".nhdf",), (HDF5,), "hdf5.nion"),
    Format("TIA", (".emi",), (b"JK",), "tia"),
    Format("TIA series", (".ser",), (b"II",), "tia"),
    Format("TIFF", (".tif", ".tiff"), _TIFF, "tiff"),
)
SUFFIXES: dict[str, Format] = {suffix: item for item in FORMATS for suffix in item.suffixes}
_MARKED = 1 << 20
"""Bytes in which a mark must stand."""


def begins_as(path: str, form: Format) -> bool:
    """Whether a file begins with one of the format's magic numbers and holds one of its marks, where it has such."""
    with open(path, "rb") as file:
        head = file.read(_MARKED if form.marks else 16)
    return (not form.magics or head.startswith(form.magics)) and (
        not form.marks or any(mark in head for mark in form.marks)
    )


def is_recording(path: Path) -> bool:
    """Whether a path's name is that of a format that is read; of an extension that many programs use, whether the file is one of ours too."""
    form = SUFFIXES.get(path.suffix.lower())
    return form is not None and (not form.marks or (path.is_file() and begins_as(str(path), form)))
