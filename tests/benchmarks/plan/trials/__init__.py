"""Trials of what a plan promises: counts made by abTEM, tested as the plan would."""
