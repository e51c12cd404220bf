"""The true specimen and its images, by abTEM."""
