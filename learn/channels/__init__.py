"""What a sensor's log says of each channel: how it reports, its steps, noise, drift and lag."""
