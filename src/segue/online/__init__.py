"""Experiments on live traffic (A/B tests): arms and who is in them, what came of them, and what follows from it."""
