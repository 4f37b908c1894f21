"""speakerkd: teach a voice model with a face."""

__version__ = "0.1.0"
