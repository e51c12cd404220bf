"""Evidence from logs of sensors: what they say of a file's fields at its time."""
