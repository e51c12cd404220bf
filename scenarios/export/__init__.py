"""Exports of sessions and of validation reports: what `instrument.export` writes, filled from the two."""
