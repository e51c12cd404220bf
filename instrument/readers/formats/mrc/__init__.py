"""MRC (MRC2014 and older): header, extended header of Thermo Fisher, SerialEM's .mdoc beside the file."""

from instrument.readers.formats.mrc.read import read

__all__ = ["read"]
