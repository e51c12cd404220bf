"""Electron energy-loss spectra: atoms that are ionised, and what a spectrometer records."""
