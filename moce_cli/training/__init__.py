"""Training: what is minimised."""
