"""Scattering: multislice, scattering matrices, Gram matrices."""
