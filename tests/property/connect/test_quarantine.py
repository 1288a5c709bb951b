"""Whatever happens to a model's processes, and when: it is left alone exactly as long as it should be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opsrail.connect.quarantine import Patience, Quarantine, State

steps = st.lists(
    st.tuples(st.sampled_from(["crash", "look", "release"]), st.floats(0, 120)), max_size=60
)
patiences = st.builds(
    Patience,
    most=st.integers(1, 5),
    window_s=st.floats(1, 100),
    rest_s=st.floats(1, 100),
)


@given(steps, patiences)
def test_it_is_left_alone_after_too_many_crashes_and_for_no_other_reason(
    events: list[tuple[str, float]], patience: Patience
) -> None:
    quarantine, now_s = Quarantine(patience), 0.0
    crashes: list[float] = []  # since it was last serving from the beginning
    for what, later_s in events:
        now_s += later_s
        before = quarantine.state_at(now_s)
        if what == "release":
            quarantine.release(now_s)
            assert quarantine.state_at(now_s) is State.SERVING
            crashes.clear()
            continue
        if before is not State.SERVING:
            crashes.clear()
        if what == "look":
            continue
        quarantine.crashed(now_s)
        after = quarantine.state_at(now_s)
        if before is State.SERVING:
            crashes.append(now_s)
            within = [at_s for at_s in crashes if now_s - at_s <= patience.window_s]
            assert (after is State.QUARANTINED) == (len(within) >= patience.most)
        else:
            assert after is State.QUARANTINED
        if after is State.QUARANTINED and before is not State.QUARANTINED:
            assert abs(quarantine.left_s(now_s) - patience.rest_s) < 1e-6
        assert 0 <= quarantine.left_s(now_s) <= patience.rest_s + 1e-6


@given(steps, patiences)
def test_left_alone_it_always_serves_again(
    events: list[tuple[str, float]], patience: Patience
) -> None:
    quarantine, now_s = Quarantine(patience), 0.0
    for what, later_s in events:
        now_s += later_s
        if what == "crash":
            quarantine.crashed(now_s)

    now_s += patience.rest_s + 1
    assert quarantine.state_at(now_s) is not State.QUARANTINED
    assert quarantine.state_at(now_s + patience.window_s + 1) is State.SERVING
