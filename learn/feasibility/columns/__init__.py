"""What is counted of single columns of a field: at any settings, at any places, with settings and place of the lattice fitted to what was counted."""
