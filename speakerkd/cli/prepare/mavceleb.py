"""MAV-Celeb (v1 to v3) of the FAME challenge into OUTPUT/train, OUTPUT/test_heard and OUTPUT/test_unheard.

Example: speakerkd prepare mavceleb data/v3 --root mavceleb/v3 --lists mavceleb/v3_lists --version v3 --heard English
"""

from __future__ import annotations

from speakerkd.cli.options import verb
from speakerkd.cli.prepare.output import CorpusOptions
from speakerkd.corpora.mavceleb import MavCelebSettings


class MavCelebOptions(CorpusOptions, MavCelebSettings):
    """Where the corpus is, and where it goes."""


@verb("output", cost="output")
def mavceleb(settings: MavCelebOptions) -> None:
    """Make the data directories and say what they hold."""
    from speakerkd.corpora.mavceleb import prepare_mavceleb

    for built in prepare_mavceleb(settings.output, settings.narrowed(MavCelebSettings), settings.work()):
        print(built)
