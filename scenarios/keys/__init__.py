"""The keys of scenarios: unit, meaning and default of each, strict reading, hints for wrong units."""
