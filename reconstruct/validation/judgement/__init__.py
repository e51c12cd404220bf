"""What the evidence means: faults, how probable they make it, which causes explain it, and a verdict on each field."""
