"""What the beam meets: atoms, their thermal motion, and the potentials they make."""
