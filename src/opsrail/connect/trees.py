"""Checks that the nodes of a tree are a tree: a booster's own code follows children without looking, in circles too."""

from __future__ import annotations

from collections.abc import Sequence

from opsrail.errors import ArtifactRefused

DEEPEST_TREE = 512
"""Levels. Boosters explain a tree by recursion; training makes trees of ten to a hundred. Ours."""
MOST_NODES = 5_000_000
"""Of all trees together. Ours: a booster of ten thousand trees with 250 leaves each."""


def check_tree(left: Sequence[int], right: Sequence[int], leaf: int, place: str) -> list[bool]:
    """Return which nodes are reached from the first, each once.

    Args:
        left: Child of each node; below 0: a leaf stands for itself.
        right: As `left`.
        leaf: Children below or at this number are leaves outside the lists.
        place: For the error.

    Raises:
        ArtifactRefused: a child does not exist, has two parents, or is deeper than `DEEPEST_TREE`.
    """
    reached = [False] * len(left)
    level, depth = [0], 0
    while level:
        depth += 1
        if depth > DEEPEST_TREE:
            raise ArtifactRefused(f"{place} is deeper than {DEEPEST_TREE} levels.")
        below: list[int] = []
        for node in level:
            if not 0 <= node < len(left) or reached[node]:
                raise ArtifactRefused(
                    f"{place} is no tree: node {node} is not there or has two parents."
                )
            reached[node] = True
            below += [child for child in (left[node], right[node]) if child > leaf]
        level = below
    return reached
