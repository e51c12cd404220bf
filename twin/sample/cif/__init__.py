"""Crystal structures from CIF text: symmetry, atoms of the cell, and checks against the file's own statements. Uses gemmi."""
