"""Recorded launches: what `--sgdiff-out` writes and `--sgdiff-replay` reads."""
