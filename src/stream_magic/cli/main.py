"""Reads the command line and calls the command."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stream_magic.errors import StreamMagicError


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        return int(args.command(args))
    except StreamMagicError as e:
        print(e, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stream-magic", description="Streaming integration in a notebook, and without one."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="the shop's story with the embedded default: no server needed"
    )
    demo.add_argument(
        "--headless",
        action="store_true",
        help="in the terminal instead of JupyterLab; the last line is JSON",
    )
    demo.add_argument(
        "--seconds",
        type=float,
        default=20,
        metavar="N",
        help="how long orders come in (default 20)",
    )
    demo.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="keep input log, topic dump, files and final tables here",
    )
    demo.add_argument("--port", type=int, default=8888, help="of JupyterLab")
    demo.add_argument("--no-browser", action="store_true", help="only print JupyterLab's address")
    demo.set_defaults(command=_demo)

    run = commands.add_parser(
        "run", help="the statements of a .sql file, or of a notebook's %%%%stream and %%%%cq cells"
    )
    run.add_argument("file", type=Path, metavar="FILE.sql|FILE.ipynb")
    run.add_argument(
        "--seconds",
        type=float,
        metavar="N",
        help="stop after N seconds; else when all sources end, or at Ctrl-C",
    )
    run.add_argument("--quiet", action="store_true", help="print nothing but errors")
    run.set_defaults(command=_run)

    doctor = commands.add_parser(
        "doctor", help="what is installed, which servers answer, and what to do about it"
    )
    doctor.add_argument("--brokers", default="localhost:9092", help="Kafka to look for")
    doctor.add_argument("--mysql", default="localhost:3306", help="MySQL or MariaDB to look for")
    doctor.set_defaults(command=_doctor)
    return parser


def _demo(args: argparse.Namespace) -> int:
    from stream_magic.cli import demo

    if args.headless:
        return demo.run_headless(args.seconds, args.out)
    return demo.open_lab(args.port, open_browser=not args.no_browser)


def _run(args: argparse.Namespace) -> int:
    from stream_magic.cli.run import run_file

    return run_file(args.file, args.seconds, is_quiet=args.quiet)


def _doctor(args: argparse.Namespace) -> int:
    from stream_magic.cli.doctor import examine

    return examine(args.brokers, args.mysql)
