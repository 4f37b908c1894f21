"""Task losses."""
