"""`make screenshots`: every page of the console with the demo's data, light and dark, at desktop and phone width.

They go to `build/screenshots/`; four small ones go to `docs/images/` for the README. The demo's folder is kept beside them,
and each run serves a copy; `--renew` makes it anew.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, BrowserContext, FloatRect, Page, StorageState

from tests.browser.conftest import sign_in
from tests.browser.crawl import Crawl
from tests.support.chromium import Watch, chromium
from tests.support.claims_json import newest_claims
from tests.support.served import ROOT, Served, serving

OUT, IMAGES = ROOT / "build" / "screenshots", ROOT / "docs" / "images"
EXAMPLE = ROOT / "examples" / "claims" / "automation.py"
WIDTHS: Mapping[str, tuple[int, int]] = {"desktop": (1280, 800), "phone": (390, 844)}
THEMES = ("light", "dark")
WHO = "anna"
DEMO_CASES, OPEN_CASES = 120, 60
RECEIPTS = EXAMPLE.parent / "data" / "receipts" / "images"
SCANS = [RECEIPTS / f"{number}.jpg" for number in ("589", "468", "346")]
"""Those that can be read in a small picture: cut close, not long."""
IS_READY = """() => !document.querySelector('[aria-busy=true]')
  && ![...document.querySelectorAll('[data-said]')].some(each => each.textContent.startsWith('Checking'))"""
"""Whether a page has fetched what it fetches beside itself."""
MOST_HIGH = 4_000
"""Pixels of a page that are shown, at most."""
SHOWN = {
    "review": ("/console/reviews/*", "desktop", "light"),
    "overview": ("/console", "desktop", "dark"),
    "decision": ("/console/decisions/*", "desktop", "light"),
    "case": ("/console/cases/*", "desktop", "light"),
}
"""Pages for the README: kind, width, theme."""
SMALL_WIDTH, SMALL_BYTES = 1_200, 150_000


def demo(folder: Path) -> None:
    """Run the demo into a folder: half a minute of claims, a rollout, a roll-back."""
    words = ["demo", "--cases", str(DEMO_CASES), "--no-serve", "--data", str(folder)]
    subprocess.run([sys.executable, "-m", "opsrail", *words], cwd=ROOT, check=True)


def open_cases(served: Served) -> None:
    """Let claims in that wait for people, as nobody rules on them."""
    for name, role in (
        ("bela", "reviewer"),
        ("chioma", "operator"),
        ("dag", "approver"),
        (WHO, "admin"),
    ):
        asyncio.run(served.link(name, role))
    claims = newest_claims(OPEN_CASES + len(SCANS))
    for claim, scan in itertools.zip_longest(claims, SCANS):
        if scan is not None:
            claim["receipt"] = str(scan)
        served.ask("POST", "/v1/cases/claims-intake", claim)


async def taken(served: Served, out: Path) -> list[str]:
    """Take every page's pictures; return what pages did that none may."""
    faults: list[str] = []
    async with chromium() as browser:
        context = await browser.new_context(base_url=served.url)
        page = await context.new_page()
        await sign_in(page, await served.link(WHO, "admin"))
        state = await context.storage_state()
        addresses = await found(page) | await asyncio.to_thread(telling, served)
        await context.close()
        for (width, size), theme in itertools.product(WIDTHS.items(), THEMES):
            context, watch = await opened(browser, served.url, size, theme, state)
            page = await context.new_page()
            for kind, address in addresses.items():
                await shot(page, address, out / f"{name_of(kind)}.{width}.{theme}.png")
            faults += watch.unexpected
            await context.close()
    return faults


def telling(served: Served) -> dict[str, str]:
    """Return pages that show more than the first of their kind: a case with a ruling, its decision, a scan."""
    cases = served.ask("GET", "/v1/cases?automation=claims-intake&state=settled&limit=200")["cases"]
    whole = [served.ask("GET", f"/v1/cases/{case['id']}") for case in cases[:120]]
    best = max(
        whole, key=lambda case: (bool(case["reviews"]), bool(case["actions"]), len(case["journal"]))
    )
    waiting = served.ask("GET", "/v1/reviews?queue=claims-desk&limit=200")["reviews"]
    seen = [review for review in waiting if review["subject"]["input"].get("receipt")]
    addresses = {"/console/cases/*": f"/console/cases/{best['id']}"}
    if best["decisions"]:
        addresses["/console/decisions/*"] = f"/console/decisions/{best['decisions'][0]['id']}"
    if seen:
        addresses["/console/reviews/*"] = f"/console/reviews/{seen[0]['id']}"
    return addresses


async def found(page: Page) -> dict[str, str]:
    """Return one address of each kind of page; what a query asks makes no other kind."""
    crawl = Crawl(page, most=2, closely=False)
    await crawl.walk()
    kinds: dict[str, str] = {}
    for one in (one for one in crawl.seen if one.status < 400):
        kinds.setdefault(one.kind.partition("?")[0], one.address)
    return kinds


async def opened(
    browser: Browser, url: str, size: tuple[int, int], theme: str, state: StorageState
) -> tuple[BrowserContext, Watch]:
    """Return a context of that width and theme, watched."""
    context = await browser.new_context(
        base_url=url,
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        is_mobile=size[0] < 600,
        device_scale_factor=1,
        timezone_id="Europe/Amsterdam",
        locale="en-GB",
        storage_state=state,
    )
    watch = Watch(url)
    await watch.over(context)
    return context, watch


async def shot(page: Page, address: str, path: Path) -> None:
    """Write a picture of a page."""
    await page.goto(address)
    await page.wait_for_function(IS_READY)
    width = (page.viewport_size or {"width": 1280})["width"]
    height = await page.evaluate("() => document.documentElement.scrollHeight")
    clip: FloatRect = {"x": 0, "y": 0, "width": width, "height": min(int(height), MOST_HIGH)}
    await page.screenshot(path=path, full_page=True, clip=clip)


def name_of(kind: str) -> str:
    """Return a file's name for a kind of page: `/console/cases/*` is `cases-one`."""
    parts = kind.removeprefix("/console").strip("/").replace("*", "one").split("/")
    return "-".join(parts) or "overview"


def shrink(out: Path, images: Path) -> list[str]:
    """Write the README's pictures; return the names of those that there is no page for."""
    images.mkdir(parents=True, exist_ok=True)
    missing = []
    for name, (kind, width, theme) in SHOWN.items():
        source = out / f"{name_of(kind)}.{width}.{theme}.png"
        if not source.exists():
            missing.append(name)
            continue
        with Image.open(source) as picture:
            first = picture.convert("RGB").crop((0, 0, picture.width, min(picture.height, 900)))
        first.thumbnail((SMALL_WIDTH, SMALL_WIDTH))
        for quality in (85, 75, 60, 45):
            first.save(images / f"{name}.webp", quality=quality, method=6)
            if (images / f"{name}.webp").stat().st_size < SMALL_BYTES:
                break
    return missing


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="where pictures go")
    parser.add_argument("--images", type=Path, default=IMAGES, help="where the README's go")
    parser.add_argument("--renew", action="store_true", help="run the demo anew")
    asked = parser.parse_args()
    folder = asked.out / "demo"
    if asked.renew:
        shutil.rmtree(folder, ignore_errors=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        demo(folder)
    shown = asked.out / "served"
    shutil.rmtree(shown, ignore_errors=True)
    shutil.copytree(folder, shown)
    with serving(EXAMPLE, shown) as served:
        open_cases(served)
        faults = asyncio.run(taken(served, asked.out))
    missing = shrink(asked.out, asked.images)
    pictures = sorted(asked.out.glob("*.png"))
    print(json.dumps({"pictures": len(pictures), "folder": str(asked.out), "missing": missing}))
    if faults or missing:
        sys.exit("\n".join([*faults, *(f"no page for {name}" for name in missing)]))


if __name__ == "__main__":
    main()
