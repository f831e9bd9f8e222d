"""Ray: the same steps on many machines.

Executors and launchers only. What a step computes is written below this package, which nothing below imports.
"""
