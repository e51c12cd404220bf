"""Questions answered on the simulated microscope."""
