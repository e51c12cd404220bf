"""The scenario of a simulation: its tables, their rules, and how it is read."""
