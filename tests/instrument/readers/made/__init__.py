"""Small files of each format, written without the readers, with metadata that are known."""
