"""Energy-loss spectra: atomic physics of edges, and spectra as functions of their parameters."""
