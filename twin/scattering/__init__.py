"""Waves through potentials: multislice, scattering matrices, Gram matrices."""
