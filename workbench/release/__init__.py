"""Releases: a tuned configuration with its evidence, served as it was tuned and checked against live traffic."""
