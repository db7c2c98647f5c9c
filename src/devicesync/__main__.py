"""`python -m devicesync` is the `devicesync` command."""

from devicesync.cli.main import main

if __name__ == "__main__":
    main()
