"""Tests of the payment sandbox, from outside its process."""
