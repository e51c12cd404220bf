"""Estimation shared by all measurements: beliefs, filters, image fits, robust covariance."""
