"""Energy-loss spectra on an absolute scale."""
