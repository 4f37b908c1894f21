"""List the speech networks by name, with parameters and operations for a second of speech.

Example: speakerkd networks
"""

from __future__ import annotations

from speakerkd.cli.options import verb
from speakerkd.config import Settings


class NetworksOptions(Settings):
    """There is nothing to choose."""


@verb()
def networks(settings: NetworksOptions) -> None:
    """Print the table."""
    from speakerkd.models.sizes import network_sizes

    print(f"{'network':<14} {'width':>5} {'bands':>5} {'embedding':>9} {'parameters':>12} {'GFLOP/s of speech':>18}")
    for row in network_sizes():
        numbers = (
            f"{row.width:>5g} {row.mels:>5} {row.embedding:>9} {row.parameters:>12,} {row.operations / 1e9:>18.2f}"
        )
        print(f"{row.name:<14} {numbers}")
