"""What a measurement comes to: plain values, comparison with claims, terminal, figure."""
