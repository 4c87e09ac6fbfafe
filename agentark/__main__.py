"""The command line: `agentark`, or `python -m agentark`."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from agentark.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
