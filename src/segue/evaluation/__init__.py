"""Protocols, prepared data sets, and the evaluation of any scorer on them."""
