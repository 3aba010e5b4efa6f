"""Runs over time: the history file, and the change points in it."""
