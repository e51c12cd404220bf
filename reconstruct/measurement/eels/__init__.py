"""Energy-loss spectra and spectrum images: thickness, plasmon, composition, with maps."""
