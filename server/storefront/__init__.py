"""The shop as buyers see it: server-rendered pages that work without JavaScript. Above all domains, below `app`."""
