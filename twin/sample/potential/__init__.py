"""Potentials of atoms: scattering factors, infinite and finite projection, absorption."""
