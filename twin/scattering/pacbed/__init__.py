"""Position-averaged convergent-beam patterns of a crystal: rocking curves and diffuse scattering."""
