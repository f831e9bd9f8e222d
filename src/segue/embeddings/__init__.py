"""Pictures of what a model has learnt of its items, and the numbers that say whether they can be trusted."""
