"""Teaching objectives, one method a file; see `objective.py` for the interface."""
