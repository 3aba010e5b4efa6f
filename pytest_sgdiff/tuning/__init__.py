"""Finds the fastest flags of a case within the memory that it may use."""
