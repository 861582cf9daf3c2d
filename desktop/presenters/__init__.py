"""The state of each screen, without Qt: what is shown, what may be done, what comes next."""
