"""What the beam is: wavelength, aberrations, aperture, source and their coherence."""
