"""Business rules, availability and new items, laid over the models in service."""
