"""Tests of the payment channels, each against a stand-in that signs with its own few lines."""
