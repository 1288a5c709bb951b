"""`opsrail ledger`: check the audit book, prove an entry, hand it to an auditor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Group, Invocation, common, examples, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.ledger.audit import VerifyReport
    from opsrail.ledger.exporting import Export

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"


@click.group(cls=Group)
def ledger() -> None:
    """Verify, prove and export the audit ledger."""


@ledger.command(
    "verify",
    epilog=examples(
        "opsrail ledger verify", "opsrail ledger verify --checkpoint kept-elsewhere.note --json"
    ),
)
@click.option(
    "--checkpoint",
    "notes",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint kept elsewhere; shows that nothing was rewritten since. May be repeated.",
)
@common
def verify(invocation: Invocation, notes: tuple[Path, ...]) -> int:
    """Check every entry, chain, place and checkpoint of the book, from the first to the last.

    Exit status 1 when something does not fit; the first bad place is named.
    """
    from opsrail.cli.progress import Ticker
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.ledger.book import verify as verified

    external = [path.read_text("utf-8") for path in notes]

    async def work(app: App) -> VerifyReport:
        kept = None if app.anchor is None else app.anchor.read()
        with Ticker("entries checked") as ticker:
            return await verified(
                app.store, app.signer.verifiers, [*external, *([kept] if kept else [])], ticker.tick
            )

    report = on_app(invocation, work)
    if invocation.is_json:
        print_json({"ledger": _report(report)})
    else:
        _print_report(report)
    return 0 if report.is_intact else 1


@ledger.command(
    "prove",
    epilog=examples(f"opsrail ledger prove {ID}", f"opsrail ledger prove {ID} --out proof.json"),
)
@click.argument("subject_id", metavar="ID")
@click.option(
    "--kind", metavar="KIND", help="Which entry about it, e.g. decision.made. [default: the newest]"
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the proof there, alone."
)
@common
def prove(invocation: Invocation, subject_id: str, kind: str | None, out: Path | None) -> None:
    """Prove that an entry about a case, decision, review or model stands in the book.

    The proof is JSON; the export's verifier.py checks it without opsrail.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.errors import NotFound
    from opsrail.ledger.book import entries_about
    from opsrail.ledger.book import prove as proven

    async def work(app: App) -> dict[str, Any]:
        entries = [
            one for one in await entries_about(app.store, subject_id) if kind in (None, one.kind)
        ]
        if not entries:
            raise NotFound(
                f"the ledger has no such entry about {subject_id}; check the id with `opsrail cases show`"
            )
        return await proven(app.store, entries[-1].writer, entries[-1].seq, app.signer.verifiers)

    proof = on_app(invocation, work)
    if out is not None:
        from pydantic_core import to_json

        out.write_bytes(to_json(proof, indent=2) + b"\n")
    if invocation.is_json:
        print_json({"proof": proof})
    elif out is None:
        print_json(proof)
    else:
        click.echo(f"Entry {proof['index']} ({proof['entry']['kind']}) is proven in {out}.")


@ledger.command(
    "export",
    epilog=examples(
        "opsrail ledger export audit-2026-03", "cd audit-2026-03 && python verifier.py ."
    ),
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@common
def export(invocation: Invocation, folder: Path) -> None:
    """Write the whole book into a new folder, with a verifier that needs no opsrail."""
    from opsrail.cli.progress import Ticker
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.ledger.exporting import export as exported

    async def work(app: App) -> Export:
        with Ticker("entries written") as ticker:
            return await exported(app.store, folder, app.signer.verifiers, ticker.tick)

    written = on_app(invocation, work)
    checkpoint = {
        "origin": written.checkpoint.origin,
        "size": written.checkpoint.size,
        "root": written.checkpoint.root.hex(),
    }
    if invocation.is_json:
        print_json(
            {
                "export": {
                    "folder": str(folder),
                    "entries": written.entries,
                    "checkpoint": checkpoint,
                }
            }
        )
    else:
        click.echo(
            f"{written.entries:,} entries in {folder}; check them with: python {folder}/verifier.py {folder}"
        )


@ledger.command(
    "acknowledge",
    epilog=examples("opsrail ledger acknowledge --reason 'restored the backup of Monday'"),
)
@click.option(
    "--reason", required=True, help="Why the book is older than its checkpoint; kept in the ledger."
)
@operator
@common
def acknowledge(invocation: Invocation, reason: str, by: str) -> None:
    """Accept a book that was rolled back, e.g. after restoring a backup; the ledger keeps that you did.

    Without it nothing runs on a database that is older than the checkpoint kept beside it.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.ledger.anchor import acknowledge_rollback

    async def work(app: App) -> bool:
        if app.anchor is None:
            return False
        await acknowledge_rollback(
            app.store, app.anchor, app.signer.verifiers, app.clock, operator=by, reason=reason
        )
        return True

    done = on_app(invocation, work)
    if invocation.is_json:
        print_json({"acknowledged": done, "by": by})
    else:
        click.echo("Acknowledged; the ledger goes on from here.")


@ledger.command("key", epilog=examples("opsrail ledger key", "opsrail ledger key --rotate"))
@click.option(
    "--rotate", "is_rotated", is_flag=True, help="Put a new key first; the old one signs beside it."
)
@click.option(
    "--retire", "is_retired", is_flag=True, help="Forget the secrets of all but the newest key."
)
@common
def key(invocation: Invocation, is_rotated: bool, is_retired: bool) -> None:
    """Print the keys that verify the ledger: give them to auditors by a road of their own.

    A running process signs with a new key after its next start.
    """
    if is_rotated and is_retired:
        raise click.UsageError(
            "give --rotate or --retire, not both: let both keys sign for a while"
        )
    from opsrail.app import KEY_FILE
    from opsrail.cli.render import print_json
    from opsrail.cli.session import refuse_unless_there, settings
    from opsrail.clock import SystemClock
    from opsrail.ledger.keys import load_signer, retire_keys, rotate_key

    refuse_unless_there(invocation, settings(invocation))
    path = invocation.data / KEY_FILE
    if is_rotated:
        signer = rotate_key(path, SystemClock())
    elif is_retired:
        signer = retire_keys(path, SystemClock())
    else:
        signer = load_signer(path)
    keys = [str(one) for one in signer.verifiers]
    if invocation.is_json:
        print_json({"origin": signer.origin, "keys": keys})
    else:
        for one in keys:
            click.echo(one)


def _report(report: VerifyReport) -> dict[str, Any]:
    checkpoint = report.checkpoint
    return {
        "intact": report.is_intact,
        "entries": report.entries,
        "waiting": report.waiting,
        "unbound": report.unbound,
        "checkpoint": None
        if checkpoint is None
        else {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()},
        "first_bad_index": report.first_bad_index,
        "fault_count": report.fault_count,
        "faults": [
            {"index": fault.index, "until": fault.until, "message": fault.message}
            for fault in report.faults
        ],
    }


def _print_report(report: VerifyReport) -> None:
    signed = "" if report.checkpoint is None else f", {report.checkpoint.size:,} of them signed"
    later = f"; {report.waiting:,} wait for their place" if report.waiting else ""
    click.echo(f"{report.entries:,} entries{signed}{later}.")
    if report.is_intact:
        click.echo("The ledger is intact.")
        return
    for fault in report.faults:
        click.echo(f"  {fault}")
    click.echo(
        f"THE LEDGER IS BROKEN: {report.fault_count:,} faults. Stop writing, keep the folder, compare with an export."
    )
