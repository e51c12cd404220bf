"""The bright-field disk of a pattern: radius, centre, ellipticity, edge."""
