"""The settings of each axis: one module for each, with a function that chooses those for a case."""
