"""The house rules as tests: what a reader may rely on without reading everything."""
