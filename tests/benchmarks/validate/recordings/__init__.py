"""Recordings whose true metadata are known, by makers that share no code with the estimators."""
