"""How well and how fast the shipped scans are read, by the size at which text is looked for.

    python bench/receipts.py [--sides 640,736,800,960,1280] [--threads 2] [--pages 40]

Each side runs in a process of its own, so that its peak memory is its own. Prints one JSON line a side: accuracy by
field, how many pages go to a person, how many fields are wrong and how many of those the form was sure of, wall and
CPU seconds a page, peak memory. The finders were set by hand on these very pages: on others expect less.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path

from opsrail.connect.rapidocr import SEARCH_SIDE_PX, RapidOcrReader
from opsrail.documents.accuracy import accuracy, is_right
from opsrail.documents.form import CompanyField, DateField, Form, MoneyField
from opsrail.values.documents import Document, Page

RECEIPTS = Path(__file__).parents[1] / "examples" / "claims" / "data" / "receipts"
RECEIPT = Form("receipt", fields=[CompanyField("company"), DateField("date"), MoneyField("total")])


def measure(side_px: int, threads: int, count: int) -> dict[str, float]:
    rows = [json.loads(row) for row in (RECEIPTS / "truth.jsonl").open(encoding="utf-8")][:count]
    reader = RapidOcrReader(search_side_px=side_px, threads=threads)
    documents, wall_s, cpu_s = {}, time.perf_counter(), time.process_time()
    for row in rows:
        lines = reader.read((RECEIPTS / row["image"]).read_bytes())
        pages = tuple(
            Page(number, tuple(part)) for number, part in groupby(lines, key=lambda line: line.page)
        )
        documents[row["id"]] = Document(row["id"], pages, RECEIPT.extract(pages), reader.name, 0)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    wrong = [
        (document, name)
        for row in rows
        for document in [documents[row["id"]]]
        for name, printed in row["fields"].items()
        if name != "address" and not is_right(document, name, printed)
    ]
    sure_and_wrong = [name for document, name in wrong if name not in RECEIPT.doubts(document)]
    return {
        "search_side_px": side_px,
        "threads": threads,
        **{name: round(share, 4) for name, share in accuracy(documents, rows).items()},
        "pages_to_a_person": sum(
            not RECEIPT.is_readable(document) for document in documents.values()
        ),
        "fields_wrong": len(wrong),
        "fields_wrong_yet_sure": len(sure_and_wrong),
        "wall_s_per_page": round(wall_s / len(rows), 2),
        "cpu_s_per_page": round(cpu_s / len(rows), 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", default=str(SEARCH_SIDE_PX))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pages", type=int, default=40)
    asked = parser.parse_args()
    first, *others = [int(side) for side in asked.sides.split(",")]
    print(json.dumps(measure(first, asked.threads, asked.pages)), flush=True)
    if others:
        rest = [
            "--sides",
            ",".join(map(str, others)),
            "--threads",
            str(asked.threads),
            "--pages",
            str(asked.pages),
        ]
        subprocess.run([sys.executable, __file__, *rest], check=True)


if __name__ == "__main__":
    main()
