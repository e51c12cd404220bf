"""What a simulation is asked for: its tables and keys, and the rules between them."""
