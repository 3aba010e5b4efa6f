"""Case files: YAML text in, cases out, with every mistake of a file at its line."""
