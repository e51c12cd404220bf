"""The job ``emtwin validate``: files of a microscope to a verdict on every field of their metadata, a table, an object and a page."""
