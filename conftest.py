"""The plugin is installed by its entry point; this file only keeps pytest's root where the baselines are."""
