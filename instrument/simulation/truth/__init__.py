"""The hidden truth of the simulated microscope. The twin may not see it: nothing outside `instrument.simulation.instrument`
imports this package.
"""
