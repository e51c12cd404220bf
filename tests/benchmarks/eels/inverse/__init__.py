"""Parts of the benchmark that measure spectra: coverage, detection, real files, and exspy beside them."""
