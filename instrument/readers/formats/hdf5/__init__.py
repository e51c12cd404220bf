"""Formats that are HDF5 files; HyperSpy's Zarr too, which has the same tree."""
