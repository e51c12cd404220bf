"""Maps of one number over a scan from a part of its pixels: which to measure next, what the others are, and when to stop."""
