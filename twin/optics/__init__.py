"""Beam optics: wavelength, aberrations, aperture, source and their coherence."""
