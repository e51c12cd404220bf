"""Core-loss spectra as a background and edges of elements: areal densities with covariance, near-edge shapes, detection of edges."""
