"""What somebody with access to the database can do to the book: each way as a function that changes a copy of it.

Each returns where the book is bad: the first place of the tree that was changed, or None where entries without a place were.
"""

# ruff: noqa: S608 - the statements name tables and columns of this file alone
from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from opsrail.ledger import tree
from opsrail.ledger.chain import START, chain_hash
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import Checkpoint
from opsrail.ledger.tiles import Edge

TABLES = (
    "ledger_entries",
    "ledger_pending",
    "ledger_writers",
    "ledger_runs",
    "ledger_tiles",
    "checkpoints",
    "ledger_leaders",
)


@dataclass
class Loot:
    """A database to change, and what is known of it as it was.

    Attributes:
        places: Writer and seq of each entry, by index.
        sizes: Of the checkpoints, ascending.
        signer: The ledger's key, for the worst of them.
    """

    connection: sqlite3.Connection
    places: list[tuple[str, int]]
    sizes: list[int]
    signer: Signer

    @classmethod
    def take(cls, path: Path, signer: Signer) -> Loot:
        """Open a database and keep a copy of the book inside it."""
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")
        for table in TABLES:
            connection.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM main.{table}")
        runs = connection.execute(
            "SELECT writer, first_seq, entry_count FROM ledger_runs ORDER BY first_index"
        )
        places = [(writer, first + at) for writer, first, count in runs for at in range(count)]
        sizes = [
            size for (size,) in connection.execute("SELECT size FROM checkpoints ORDER BY size")
        ]
        return cls(connection, places, sizes, signer)

    def restore(self) -> None:
        """Put everything back."""
        self.connection.execute("BEGIN")
        for table in TABLES:
            self.connection.execute(f"DELETE FROM main.{table}")
            self.connection.execute(f"INSERT INTO main.{table} SELECT * FROM kept_{table}")
        self.connection.execute("COMMIT")

    def set(self, index: int, column: str, value: object) -> None:
        """Overwrite a column of an entry."""
        self.connection.execute(
            f"UPDATE ledger_entries SET {column} = ? WHERE writer = ? AND seq = ?",
            (value, *self.places[index]),
        )

    def get(self, index: int, column: str) -> str:
        """Return a column of an entry."""
        row = self.connection.execute(
            f"SELECT {column} FROM ledger_entries WHERE writer = ? AND seq = ?", self.places[index]
        ).fetchone()
        return str(row[0])

    def dump(self, folder: Path) -> None:
        """Write what the rows say, as an export would hold it, whatever was done to them."""
        folder.mkdir(exist_ok=True)
        names = "writer, seq, prev_hash, leaf_hash, kind, subject_id, body, at_ms"
        rows = self.connection.execute(
            f"""SELECT r.first_index + e.seq - r.first_seq AS at, {", ".join("e." + name for name in names.split(", "))}
            FROM ledger_runs r JOIN ledger_entries e ON e.writer = r.writer
            AND e.seq BETWEEN r.first_seq AND r.first_seq + r.entry_count - 1 ORDER BY at"""
        )
        keys = ("index", *names.split(", "))
        lines = [json.dumps(dict(zip(keys, row, strict=True))) for row in rows]
        (folder / "entries.jsonl").write_text("\n".join(lines) + "\n")
        notes = self.connection.execute("SELECT note FROM checkpoints ORDER BY size")
        (folder / "checkpoints.jsonl").write_text(
            "".join(json.dumps({"note": note}) + "\n" for (note,) in notes)
        )


Intrusion = Callable[[Loot, Random], int | None]


def other_digit(text: str, random: Random) -> str:
    """Return hex text with one digit changed."""
    at = random.randrange(len(text))
    return (
        text[:at]
        + random.choice([digit for digit in "0123456789abcdef" if digit != text[at]])
        + text[at + 1 :]
    )


def flip_body(loot: Loot, random: Random) -> int:
    index = random.randrange(len(loot.places))
    body = bytearray(loot.get(index, "body").encode())
    body[random.randrange(len(body))] ^= 1 << random.randrange(3)
    loot.set(index, "body", body.decode())
    return index


def flip_hash(column: str) -> Intrusion:
    def intrude(loot: Loot, random: Random) -> int:
        index = random.randrange(len(loot.places))
        loot.set(index, column, other_digit(loot.get(index, column), random))
        return index

    return intrude


def change_columns(loot: Loot, random: Random) -> int:
    index = random.randrange(len(loot.places))
    column, value = random.choice(
        [("kind", "decision.withdrawn"), ("subject_id", "another"), ("at_ms", 1)]
    )
    loot.set(index, column, value)
    return index


def delete(loot: Loot, random: Random) -> int:
    index = random.randrange(len(loot.places))
    loot.connection.execute(
        "DELETE FROM ledger_entries WHERE writer = ? AND seq = ?", loot.places[index]
    )
    return index


def cut_rows(loot: Loot, random: Random) -> int:
    """Remove the last entries alone."""
    index = random.randrange(len(loot.places) - 100, len(loot.places))
    loot.connection.executemany(
        "DELETE FROM ledger_entries WHERE writer = ? AND seq = ?", loot.places[index:]
    )
    return index


def move(loot: Loot, pairs: Mapping[int, int]) -> None:
    """Move whole entries: each index gets the content that stood at another."""
    names = ("prev_hash", "leaf_hash", "kind", "subject_id", "body", "at_ms")
    contents = {
        source: {name: loot.get(source, name) for name in names} for source in pairs.values()
    }
    for target, source in pairs.items():
        for name, value in contents[source].items():
            loot.set(target, name, int(value) if name == "at_ms" else value)


def swap(loot: Loot, random: Random) -> int:
    one, other = sorted(random.sample(range(len(loot.places)), 2))
    move(loot, {one: other, other: one})
    return one


def reorder(loot: Loot, random: Random) -> int:
    """Turn a stretch of the book round by one."""
    start = random.randrange(len(loot.places) - 10)
    count = random.randrange(2, 10)
    move(loot, {start + at: start + (at + 1) % count for at in range(count)})
    return start


def flip_tile(loot: Loot, random: Random) -> int:
    number, hashes = random.choice(
        list(loot.connection.execute("SELECT number, hashes FROM ledger_tiles"))
    )
    at = random.randrange(len(hashes))
    changed = hashes[:at] + bytes([hashes[at] ^ 1 << random.randrange(8)]) + hashes[at + 1 :]
    loot.connection.execute(
        "UPDATE ledger_tiles SET hashes = ? WHERE number = ?", (changed, number)
    )
    return int(number) * 256 + at // 32


def flip_root(loot: Loot, random: Random) -> int:
    """Change a checkpoint; what it vouched for is not covered from the one before on."""
    at = random.randrange(len(loot.sizes))
    column = random.choice(["root", "note"])
    (text,) = loot.connection.execute(
        f"SELECT {column} FROM checkpoints WHERE size = ?", (loot.sizes[at],)
    ).fetchone()
    if column == "root":
        text = other_digit(text, random)
    else:
        place = random.randrange(len(text.partition("\n\n")[0]))
        text = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
    loot.connection.execute(
        f"UPDATE checkpoints SET {column} = ? WHERE size = ?", (text, loot.sizes[at])
    )
    return loot.sizes[at - 1] if at else 0


def exchange_runs(loot: Loot, random: Random) -> int:
    """Give two runs each other's places."""
    runs = list(
        loot.connection.execute(
            "SELECT first_index, writer, first_seq, entry_count FROM ledger_runs"
        )
    )
    one, other = sorted(random.sample(runs, 2))
    while one[1] == other[1] and one[3] == other[3]:
        one, other = sorted(random.sample(runs, 2))
    loot.connection.execute(
        "DELETE FROM ledger_runs WHERE first_index IN (?, ?)", (one[0], other[0])
    )
    loot.connection.executemany(
        "INSERT INTO ledger_runs VALUES (?, ?, ?, ?)", [(one[0], *other[1:]), (other[0], *one[1:])]
    )
    return int(one[0])


def hide_waiting(loot: Loot, random: Random) -> None:
    """Take entries off the waiting list, or remove them while they wait."""
    (writer, seq, count) = loot.connection.execute("SELECT * FROM ledger_pending").fetchone()
    if random.random() < 0.5:
        loot.connection.execute("DELETE FROM ledger_pending")
    else:
        at = seq + random.randrange(count)
        loot.connection.execute(
            "DELETE FROM ledger_entries WHERE writer = ? AND seq = ?", (writer, at)
        )


def recompute(loot: Loot, random: Random, *, has_key: bool) -> int:
    """Change an entry and compute all hashes anew: its chain, tiles, roots; with the key, sign the new checkpoints too."""
    index = random.randrange(len(loot.places))
    body = loot.get(index, "body").replace("approve", "decline")
    loot.set(index, "body", body)
    loot.set(index, "leaf_hash", tree.leaf_hash(body.encode()).hex())
    heads: dict[str, str] = {}
    leaves: list[str] = []
    for at, (writer, _) in enumerate(loot.places):
        leaves.append(loot.get(at, "leaf_hash"))
        if at > index and writer == loot.places[index][0]:
            loot.set(at, "prev_hash", heads[writer])
        heads[writer] = chain_hash(heads.get(writer, START), leaves[-1])
    writer, seq = (
        loot.places[index][0],
        max(seq for name, seq in loot.places if name == loot.places[index][0]),
    )
    waiting = loot.connection.execute(
        "SELECT seq, leaf_hash FROM ledger_entries WHERE writer = ? AND seq > ? ORDER BY seq",
        (writer, seq),
    ).fetchall()
    for seq, leaf in waiting:
        loot.connection.execute(
            "UPDATE ledger_entries SET prev_hash = ? WHERE writer = ? AND seq = ?",
            (heads[writer], writer, seq),
        )
        heads[writer] = chain_hash(heads[writer], leaf)
    edge = Edge()
    for leaf in leaves:
        for tile in edge.append(bytes.fromhex(leaf)):
            loot.connection.execute(
                "UPDATE ledger_tiles SET hashes = ? WHERE level = ? AND number = ?",
                (tile.hashes, *tile[:2]),
            )
        if edge.size in loot.sizes and has_key:
            note = loot.signer.sign(Checkpoint(loot.signer.origin, edge.size, edge.root()).text())
            loot.connection.execute(
                "UPDATE checkpoints SET root = ?, note = ? WHERE size = ?",
                (edge.root().hex(), note, edge.size),
            )
    return index


def recompute_without_key(loot: Loot, random: Random) -> int:
    return recompute(loot, random, has_key=False)


def recompute_with_key(loot: Loot, random: Random) -> int:
    return recompute(loot, random, has_key=True)


def roll_back(loot: Loot, random: Random) -> int:
    """Bring the whole book back to how it was at an earlier checkpoint, as a restored backup would."""
    size = random.choice(loot.sizes[:-1])
    run = loot.connection.execute
    run("DELETE FROM ledger_pending")
    run("DELETE FROM ledger_runs WHERE first_index >= ?", (size,))
    run("DELETE FROM checkpoints WHERE size > ?", (size,))
    run("DELETE FROM ledger_tiles WHERE (number + 1) * 256 > ?", (size,))
    run("UPDATE ledger_leaders SET size = ?", (size,))
    run("DELETE FROM ledger_writers")
    run(
        "INSERT INTO ledger_writers SELECT writer, sum(entry_count), 0 FROM ledger_runs GROUP BY writer"
    )
    run(
        """DELETE FROM ledger_entries WHERE NOT EXISTS (SELECT 1 FROM ledger_writers w
        WHERE w.writer = ledger_entries.writer AND ledger_entries.seq < w.sequenced)"""
    )
    return size


EXACT: tuple[Intrusion, ...] = (
    flip_body,
    flip_hash("leaf_hash"),
    flip_hash("prev_hash"),
    change_columns,
    delete,
    cut_rows,
    swap,
    reorder,
    roll_back,
)
"""The first bad entry is named exactly, also by the offline verifier."""
IN_DATABASE: tuple[Intrusion, ...] = (flip_tile, hide_waiting)
"""Named exactly; an export does not hold what was changed."""
WITHIN_RANGE: tuple[Intrusion, ...] = (
    flip_root,
    exchange_runs,
    recompute_without_key,
    recompute_with_key,
)
"""Roots say that something is wrong below a size: the first bad entry lies within the range that is named."""
