"""From signals to network input."""
