"""The door: a table as it stands in a source -> Events, its values checked once and converted, or all its mistakes."""
