"""Published speaker networks as models of ours: one project a file."""
