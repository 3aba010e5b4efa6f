"""Flags of the engine by version: which exist, how they take their values, and how a case's are written."""
