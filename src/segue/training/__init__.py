"""Training: configuration, objectives, the loop, checkpoints and optimisers."""
