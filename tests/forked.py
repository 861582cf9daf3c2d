"""What every forked process has imported (tests/forks.py): their garbage collectors do not look at it again."""

from shared.loading import loading

with loading():
    import desktop.importing.process  # noqa: F401 - for those who are forked from here, as are the others
    import server.sandbox.app  # noqa: F401 - as above
    import tests.fault.dying_server  # noqa: F401 - as above
