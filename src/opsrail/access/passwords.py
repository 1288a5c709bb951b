"""Passwords: which are taken, and how they are kept. Pure but for the time it takes: half a hundred milliseconds, blocking.

No rule says what a password must be made of; it must be long, and none of those that everybody tries first. It is kept as
Argon2id leaves it, whole: nothing is cut off.

Source:
    OWASP Password Storage Cheat Sheet (Argon2id, 19 MiB, t=2, p=1); NIST SP 800-63B-4, section 3.1.1 (length, no composition
    rules, a blocklist, NFKC).
"""

from __future__ import annotations

import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from opsrail.errors import Fault

FEWEST_CHARACTERS = 12
ADVISED_CHARACTERS = 15
MOST_CHARACTERS = 1_000
"""More is refused, not cut off. Ours: no passphrase is longer, and a stranger may send any."""
MOST_GIVEN = 4 * MOST_CHARACTERS
"""Code points that are read. Ours: accents may stand apart from their letters, and NFKC takes a time that grows with the
square of what it is given: a minute for a form's megabyte, in which nobody else is served."""
SALT_BYTES = 16
HASH_BYTES = 32
MEMORY_KIB = 19 * 1024
ITERATIONS = 2
LANES = 1
SHORTEST_BLOCK = 6
"""A password that is one text again and again is refused if that text has fewer characters."""
RUNS = (
    "abcdefghijklmnopqrstuvwxyz" * 2,
    "0123456789" * 12,
    "1234567890" * 12,
    "qwertyuiopasdfghjklzxcvbnm" * 2,
    "qwertzuiopasdfghjklyxcvbnm" * 2,
    "azertyuiopqsdfghjklmwxcvbn" * 2,
    "1q2w3e4r5t6y7u8i9o0p" * 2,
    "qazwsxedcrfvtgbyhnujmikolp" * 2,
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm" * 2,
)
COMMON = frozenset(
    """
    1q2w3e4r 1qaz2wsx abc123 access admin adminadmin administrator administrator1 arsenal asdfghjkl
    autumn baseball batman changeme charlie chelsea companyname computer correcthorsebatterystaple
    default dragon february football freedom guest hunter ihatepasswords ilovemyfamily iloveyou
    iloveyouforever internet january jennifer jordan letmein letmeinnow liverpool login master
    maytheforcebewithyou michael monkey mypassword newpassword nopassword opsrail p@ssw0rd p@ssword
    passphrase passw0rd password password1234 passwordpassword pokemon princess qwerty qwerty123
    qwertyuiop root secret secret123 shadow spring starwars summer sunshine superman test testing
    thequickbrownfox thisismypassword tobeornottobe trustno1 user welcome welcometothejungle
    whatever winter yourpassword zxcvbnm
    """.split()  # noqa: SIM905 - a hundred words read better so
)
"""What is tried first, lower case, without what people put around it. Ours: the heads of the published lists, and
long ones that fit our length."""
AROUND = "0123456789!?.,;:-_*#$%&+=@ "
NOBODYS = (
    "$argon2id$v=19$m=19456,t=2,p=1$8eqXyU7gA6ogHKgtRWIbpg$"
    "YPES9H9eHAzWWuq3/KbVpCzI7vs1JD2fM2oN/jGqX6c"
)
"""What a password is compared with where there is none, so that the answer takes as long."""


def faults_of(password: str, name: str) -> list[Fault]:
    """Return what is wrong with a password that somebody of that name chose.

    Args:
        name: The user's name; alone, with figures around it, it is no password.
    """
    if len(password) > MOST_GIVEN:
        return [Fault("password", f"has more than {MOST_CHARACTERS} characters")]
    found: list[str] = []
    plain = _plain(password)
    if len(plain) < FEWEST_CHARACTERS:
        found.append(
            f"has {len(plain)} characters; use {FEWEST_CHARACTERS} or more, better {ADVISED_CHARACTERS}: some words in a row"
        )
    if len(plain) > MOST_CHARACTERS:
        found.append(f"has more than {MOST_CHARACTERS} characters")
    if is_common(plain, name):
        found.append("is one of those that are tried first; take some words that nobody expects")
    return [Fault("password", message) for message in found]


def is_common(password: str, name: str) -> bool:
    """Return whether a password is one that is tried first."""
    bare = password.casefold()
    core = bare.strip(AROUND)
    if len(core) < SHORTEST_BLOCK or core in COMMON or core == name.casefold():
        return True
    block = _block(bare)
    if len(block) < SHORTEST_BLOCK or block.strip(AROUND) in COMMON | {name.casefold()}:
        return True
    return any(bare in run or bare[::-1] in run for run in RUNS)


def hashed(password: str, salt: bytes) -> str:
    """Return what is kept of a password: a PHC string. Blocking.

    Args:
        salt: 16 bytes, drawn for this password.
    """
    derive = Argon2id(
        salt=salt,
        length=HASH_BYTES,
        iterations=ITERATIONS,
        lanes=LANES,
        memory_cost=MEMORY_KIB,
    )
    return derive.derive_phc_encoded(_plain(password).encode())


def matches(password: str, kept: str | None) -> bool:
    """Return whether a password is the one of which that was kept. Blocking, and as long whatever is given.

    Args:
        kept: None: no password is right.
    """
    given = _plain(password[:MOST_GIVEN])[: MOST_CHARACTERS + 1].encode()
    try:
        Argon2id.verify_phc_encoded(given, NOBODYS if kept is None else kept)
    except InvalidKey:
        return False
    return kept is not None and len(password) <= MOST_GIVEN


def _plain(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _block(text: str) -> str:
    """Return the shortest text that, again and again, makes this one."""
    at = (text + text).find(text, 1)
    return text[:at] if at > 0 else text
