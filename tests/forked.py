"""What every forked process has imported (tests/forks.py): their garbage collectors do not look at it again."""

from shared.loading import loading

with loading():
    import anyio._backends._asyncio  # noqa: F401 - what a process would import in the midst of its first requests
    import httpcore  # noqa: F401 - as above
    from sqlalchemy.orm import configure_mappers

    import desktop.importing.process  # noqa: F401 - for those who are forked from here, as are the others
    import server.sandbox.app  # noqa: F401 - as above
    import tests.fault.dying_server  # noqa: F401 - as above

    configure_mappers()  # each process would do it at its first statement
