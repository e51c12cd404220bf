"""Foreign formats: for each a module with ``read(path, max_bytes)``, which gives its recordings as items. Imported only in the worker."""
