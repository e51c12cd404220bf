"""Analysis of the channels of a sensor log: reporting pattern, steps, noise, drift and lag."""
