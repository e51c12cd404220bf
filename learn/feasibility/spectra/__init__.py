"""Energy-loss spectra as options: spectrum images of a change, and what one spectrum tells."""
