"""Patterns of a convergent beam, drawn with NumPy: shadow images of films, and crystals with their high-order Laue zones."""
