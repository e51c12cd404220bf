"""The Python interface: samples, microscopes, simulated signals as xarray Datasets, and the pure functions below them."""
