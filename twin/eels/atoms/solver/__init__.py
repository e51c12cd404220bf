"""The radial equation: self-consistent atoms, bound states and continuum waves. Hartree atomic units throughout."""
