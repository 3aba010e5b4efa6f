"""Finds the commit that made the engine slower."""
