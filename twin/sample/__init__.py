"""The specimen: atoms, their thermal motion, and their potentials."""
