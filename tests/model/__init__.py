"""The shop against reference models, driven by Hypothesis."""
