"""Protocols: how a log is cleaned, split and turned into test cases."""
