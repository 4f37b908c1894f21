"""From recordings to figures."""
