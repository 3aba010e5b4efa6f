"""SGLang's own numbers: its baseline files in and out, its scenarios, its nightly comparison."""
