"""``python -m pantheon`` is the command line."""

from pantheon.cli.main import main

main()
