"""`python -m server.sandbox`: the same as `python -m server sandbox`, for people who want nothing else running."""

import sys

from server.sandbox.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
