"""`opsrail`: finds the command, runs it, and turns whatever goes wrong into one message and an exit status.

Exit status: 0 ok; 1 the work has faults, or an error stopped it; 2 the call is wrong; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import click

from opsrail import __version__
from opsrail.cli.options import Invocation
from opsrail.errors import OpsrailError, missing_extra

OK, FAULTS, USAGE, INTERRUPTED = 0, 1, 2, 130
COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("opsrail.cli.run:run", "Run every row of a file as a durable case."),
    "new": ("opsrail.cli.new:new", "Make a folder with a working automation and its test."),
    "decide": ("opsrail.cli.decide:decide", "Ask a decision point for every row of a file."),
    "serve": ("opsrail.cli.serve:serve", "Carry cases and answer over HTTP until stopped."),
    "top": ("opsrail.cli.top:top", "Watch what a running server decides, live."),
    "demo": ("opsrail.cli.demo:demo", "Show the whole loop on this machine."),
    "cases": ("opsrail.cli.cases:cases", "List, show, retry, cancel and wait for cases."),
    "reviews": ("opsrail.cli.reviews_deeds:reviews", "Rule on what waits for a person."),
    "notices": ("opsrail.cli.notices:notices", "See what was sent to people, and send again."),
    "actions": ("opsrail.cli.actions:actions", "See, retry, stop and resume what goes out."),
    "decisions": ("opsrail.cli.decisions:decisions", "Show and explain recorded decisions."),
    "outcomes": ("opsrail.cli.outcomes:outcomes", "Say what turned out true of decisions."),
    "models": ("opsrail.cli.models:models", "Register and promote model versions."),
    "changes": ("opsrail.cli.changes:changes", "Plan, approve, apply and roll back changes."),
    "rollouts": ("opsrail.cli.rollouts:rollouts", "Carry a version to live in steps, watched."),
    "alarms": ("opsrail.cli.alarms:alarms", "See what rings, and close what was seen to."),
    "features": ("opsrail.cli.features:features", "Read features, make training sets."),
    "jobs": ("opsrail.cli.jobs:jobs", "See, fetch and cancel long work asked for over HTTP."),
    "lab": ("opsrail.cli.lab:lab", "Compare, tune, replay, try policies on history, simulate."),
    "users": ("opsrail.cli.users:users", "Let people sign in, and say what they may do."),
    "keys": ("opsrail.cli.keys:keys", "Give programs keys of their own, and take them back."),
    "ledger": ("opsrail.cli.ledger:ledger", "Verify, prove and export the audit ledger."),
    "retention": ("opsrail.cli.retention:retention", "Hold cases, and remove old ones."),
    "config": ("opsrail.cli.config:config", "Show every setting and where it comes from."),
    "doctor": ("opsrail.cli.doctor:doctor", "Check this installation and say what to mend."),
}
"""Command -> where it is and its line in `opsrail --help`. Modules are imported when their command is asked for."""


class Commands(click.Group):
    """A group that imports a command's module when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


BEGIN = """\b
Begin:
  opsrail new refunds
  opsrail run refunds/automation.py --input refunds/refunds.csv
  opsrail reviews list

Each command explains itself: opsrail run --help"""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=BEGIN)
@click.version_option(__version__, message="opsrail %(version)s")
def opsrail() -> None:
    """Run AI decisions inside operational work, and keep them on rails."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    given = list(sys.argv[1:] if args is None else args)
    invocation = Invocation()
    try:
        result = opsrail.main(given, prog_name="opsrail", standalone_mode=False, obj=invocation)
        sys.stdout.flush()
        return result if isinstance(result, int) else OK
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as wrong:
        return _usage(wrong, is_json=invocation.is_json or "--json" in given)
    except (KeyboardInterrupt, click.Abort):
        click.echo(invocation.interrupted or "Interrupted; nothing was left half-done.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output is gone; saying so would only fail again
        return FAULTS
    except OpsrailError as error:
        if invocation.is_debug:
            raise
        return _failed(error.code, error, invocation)
    except OSError as error:
        if invocation.is_debug or error.filename is None:
            return _bug(error, invocation)
        return _failed(
            "file",
            f"{error.filename}: {error.strerror}; check the path and its permissions",
            invocation,
        )
    except Exception as error:
        missing = None if invocation.is_debug else missing_extra(error, "This")
        return (
            _bug(error, invocation)
            if missing is None
            else _failed(missing.code, missing, invocation)
        )


def _usage(wrong: click.UsageError, *, is_json: bool) -> int:
    if is_json:
        from opsrail.cli.render import print_error

        print_error("usage", wrong.format_message())
    else:
        wrong.show()
    return USAGE


def _failed(code: str, error: Exception | str, invocation: Invocation) -> int:
    if invocation.is_json:
        from opsrail.cli.render import print_error

        faults = [
            {"place": fault.place, "message": fault.message}
            for fault in getattr(error, "faults", ())
        ]
        print_error(code, str(getattr(error, "summary", error)), faults)
    else:
        click.echo(f"opsrail: {error}", err=True)
    return FAULTS


def _bug(error: Exception, invocation: Invocation) -> int:
    if invocation.is_debug:
        raise error
    from opsrail.cli.logs import write_traceback

    place = write_traceback(error, invocation.data)
    message = f"a fault of opsrail itself: {type(error).__name__}: {error}. Its traceback is in {place}; --debug shows it"
    return _failed("bug", message.replace("\n", " "), invocation)
