"""Networks; every forward returns an `Output`."""
