"""`pointlora` and `python -m pointlora_cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from pointlora_cli.app import run
    except KeyboardInterrupt:  # before there is anything to say
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
