"""The library: past sessions and recordings, the nearest ones to a question, and how well plans held."""
