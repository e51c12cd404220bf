"""Estimators: data of one detector to quantities of optics and specimen with a covariance, or to the reason why they are undetermined."""
