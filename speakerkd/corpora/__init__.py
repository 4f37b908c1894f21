"""Corpora as their owners ship them, read into data directories."""
