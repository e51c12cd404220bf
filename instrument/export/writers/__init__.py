"""Writers of the formats, a module for each, and the tree of plain values in HDF5 that several keep."""
