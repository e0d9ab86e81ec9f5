"""`python -m paycordon` is the command `paycordon`."""

from paycordon.cli import main

main()
