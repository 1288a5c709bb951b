"""Passwords: which are taken, and that they are kept whole; how long wrong ones lock."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.access.passwords import MOST_CHARACTERS, faults_of, hashed, matches
from opsrail.access.throttling import (
    ADDRESS_SPAN_S,
    ADDRESS_TRIES,
    FREE_TRIES,
    LONGEST_LOCK_S,
    MOST_ADDRESSES,
    Addresses,
    counted_as,
    lock_s,
)

SALT = b"0123456789abcdef"


@pytest.mark.parametrize(
    "password",
    ["short", "password123456", "PasswordPassword", "aaaaaaaaaaaaaaaa", "abcabcabcabcabc", "123456789012", "qwertyuiopasdf",
     "anna.berg2024!!", "correcthorsebatterystaple", "            x", "mypassword2024!", "", "x" * (MOST_CHARACTERS + 1)],
)  # fmt: skip
def test_what_is_short_or_tried_first_is_refused(password: str) -> None:
    assert faults_of(password, "anna.berg")


@pytest.mark.parametrize(
    "password",
    [
        "blue llama walks on tin",
        "nur kleinbuchstaben",
        "Tr0ub4dor&3 again",
        "ключ от старой двери",
        "💧💧 two drops fell",
    ],
)
def test_what_is_long_and_unexpected_is_taken_whatever_it_is_made_of(password: str) -> None:
    assert faults_of(password, "anna.berg") == []


def test_a_password_is_kept_whole_and_known_again_in_whatever_form_it_is_typed() -> None:
    long = "a" * 900 + " the end"
    kept = hashed(long, SALT)
    composed, apart = "cafe\u0301 au lait noir", "caf\u00e9 au lait noir"

    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert matches(long, kept)
    assert not matches(long[:-1], kept)
    assert matches(apart, hashed(composed, SALT))
    assert hashed(long, SALT) != hashed(long, SALT[::-1])


def test_where_there_is_no_password_none_is_right() -> None:
    assert not matches("hello world", None)


def test_what_a_stranger_types_costs_no_more_than_a_password_however_long_it_is() -> None:
    right = "a" + "\u0301\u0323" * 400
    kept = hashed(right, SALT)
    begun_s = time.process_time()

    assert not matches(right + "\u0301\u0323" * 30_000, kept)
    assert faults_of("\u0301\u0323" * 30_000, "anna")
    assert time.process_time() - begun_s < 2.0
    assert matches(right, kept)


@given(st.integers(0, 10_000))
def test_a_lock_grows_and_never_lasts_longer_than_a_quarter_of_an_hour(failures: int) -> None:
    assert lock_s(failures) <= lock_s(failures + 1) <= LONGEST_LOCK_S
    assert (lock_s(failures) == 0) == (failures < FREE_TRIES)


def test_an_address_waits_after_its_tries_and_may_try_again_later() -> None:
    addresses = Addresses()
    for _ in range(ADDRESS_TRIES):
        assert addresses.wait_s("a", 10.0) == 0
        addresses.failed("a", 10.0)

    assert addresses.wait_s("a", 11.0) == pytest.approx(ADDRESS_SPAN_S - 1)
    assert addresses.wait_s("b", 11.0) == 0
    assert addresses.wait_s("a", 10.0 + ADDRESS_SPAN_S) == 0


def test_who_has_a_network_of_addresses_has_no_more_tries_than_one_address_has() -> None:
    addresses = Addresses()
    for number in range(ADDRESS_TRIES):
        addresses.failed(f"2001:db8:1:2::{number:x}", 10.0)
        addresses.failed("::ffff:192.0.2.1", 10.0)

    assert addresses.wait_s("2001:db8:1:2:ffff::1", 11.0) > 0
    assert addresses.wait_s("192.0.2.1", 11.0) > 0
    assert addresses.wait_s("2001:db8:1:3::1", 11.0) == 0
    assert addresses.wait_s("192.0.2.2", 11.0) == 0
    assert [counted_as(one) for one in ("::1", "", "fe80::1%eth0")] == ["::/64", "", "fe80::/64"]


def test_many_addresses_do_not_fill_the_memory() -> None:
    addresses = Addresses()
    for n in range(MOST_ADDRESSES + 10):
        addresses.failed(str(n), 1.0)

    assert len(addresses._seen) == MOST_ADDRESSES
