"""Crystal structures from CIF text: symmetry, atoms in the cell, and what the file says of itself as a check. gemmi stands behind this folder."""
