"""Constants of an instrument fitted to recorded sessions."""
