"""Money and orders that need a person: raised with evidence, decided by two, closed when what was decided is done."""
