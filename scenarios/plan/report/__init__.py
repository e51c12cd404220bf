"""What a plan says: words, figures, the page and the terminal's table."""
