"""What models, losses and protocols do: short texts whose worked examples are computed when they are shown."""
