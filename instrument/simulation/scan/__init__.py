"""A simulated scan: spectra or patterns of single pixels at any dwell time, of a specimen whose map is hidden."""
