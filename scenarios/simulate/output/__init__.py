"""What a simulation leaves: recording, files, pictures, last words."""
