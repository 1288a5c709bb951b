"""The first look at every artifact: its size, and whether it is the one that was registered."""

from __future__ import annotations

from opsrail.errors import ArtifactRefused
from opsrail.values.canonical import digest


def check_intact(artifact: bytes, expected_digest: str, most_bytes: int) -> None:
    """Refuse an artifact that is too large or was changed.

    Args:
        expected_digest: `sha256:<hex>` that the registry holds for it.

    Raises:
        ArtifactRefused: says which. Terminal: nothing was loaded.
    """
    if len(artifact) > most_bytes:
        raise ArtifactRefused(
            f"The artifact has {len(artifact)} bytes, more than {most_bytes}; export a smaller model."
        )
    if (found := digest(artifact)) != expected_digest:
        raise ArtifactRefused(
            f"The artifact's digest is {found}, the registry says {expected_digest}; it was changed. Restore it "
            "from the build that was approved, or register it as a new version."
        )
