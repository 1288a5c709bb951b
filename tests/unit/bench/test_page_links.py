"""What the bench and the crawl read from a page."""

from __future__ import annotations

from bench.page_links import led

PAGE = """<!doctype html><title>Cases &amp; more · opsrail</title>
<svg><title>not this</title><a href="/console/in-svg">x</a></svg>
<h1>Cases</h1><h3>Late</h3>
<a href="/console/cases/1">one</a> <a href="2">two</a> <a href="?state=open">open</a> <a href="#main">skip</a>
<a href="https://elsewhere.example/">out</a> <a href="javascript:alert(1)">no</a>
<a rel="next" href="/console/cases?after=9">Next page</a>
<form action="/console/cases"><input name="q"><input type="hidden" name="csrf" value="t">
<select name="state"><option value="">any</option><option value="ready">ready</option></select>
<input type="checkbox" name="late" value="yes"></form>
<form method="post" action="/console/cases/1/cancel"><input name="reason"></form>"""


def test_links_forms_title_and_headings_are_read() -> None:
    found = led(PAGE, "/console/cases", word="Honda")

    assert found.title == "Cases & more · opsrail"
    assert found.headings == (1, 3)
    assert found.next == "/console/cases?after=9"
    assert found.links == (
        "/console/in-svg",
        "/console/cases/1",
        "/console/2",
        "/console/cases?state=open",
        "/console/cases",
        "/console/cases?after=9",
    )
    assert found.asks == (
        "/console/cases?q=Honda",
        "/console/cases?state=ready",
        "/console/cases?late=yes",
    )
