"""The job ``emtwin measure``: files of images and patterns to quantities with covariance, a table, an object and a figure."""
