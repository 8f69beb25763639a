"""`python -m moce_cli`."""

from moce_cli.cli.app import main

main()
