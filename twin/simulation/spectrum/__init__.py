"""The simulation of an energy-loss spectrum: composition, the model and its parameters, the recording."""
