"""Low-loss spectra: the zero loss taken apart from what is lost, t/lambda, plasmons."""
