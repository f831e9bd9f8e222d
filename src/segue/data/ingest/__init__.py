"""A table of raw values -> ``Events``: finds the columns, converts the values and reports all problems together."""
