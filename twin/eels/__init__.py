"""Electron energy-loss spectra: what the spectrometer records, on an absolute scale."""
