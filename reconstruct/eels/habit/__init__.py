"""Spectrum processing as it is done by habit, for comparison: subtraction of power laws, Fourier-log and Fourier-ratio deconvolution."""
