"""EEL spectra to numbers with variances."""
