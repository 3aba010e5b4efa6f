"""The plugin is installed by its entry point; this file only keeps pytest's root where the baselines are.

The project's own tests have a root of their own, tests/."""
