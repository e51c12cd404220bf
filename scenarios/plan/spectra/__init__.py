"""Energy-loss spectra as an option of a question."""
