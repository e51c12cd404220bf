"""Shadow images of an amorphous film in a convergent beam: defocus."""
