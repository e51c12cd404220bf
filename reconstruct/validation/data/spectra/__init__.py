"""Evidence of energy-loss spectra: the energy axis, the electrons of the beam, the angles of the spectrometer."""
