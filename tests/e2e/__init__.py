"""Whole programs, real browsers and real windows: what a person does, from end to end."""
