"""The data directory, archives and batches."""
