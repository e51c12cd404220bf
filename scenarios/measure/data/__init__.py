"""What is measured: files, frames, preparation, crystals."""
