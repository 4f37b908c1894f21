"""A page in a browser on which a model is tried out: what is answered, how it is drawn, and who serves it."""
