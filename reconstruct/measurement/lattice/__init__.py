"""The lattice of a crystal image: the map from pixels to angstrom."""
