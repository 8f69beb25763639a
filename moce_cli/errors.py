"""What can go wrong, as a tree.

    MoceError                 1   anything expected that has no narrower name
      UsageError              2   options that exclude each other, a value out of range
      InputError              3   an input is missing, unreadable, damaged, or not a picture
      WeightsError            4   weights not found, damaged, of another architecture, refused
        ConfigError           4   an architecture that does not fit together
        DownloadError         4   weights could not be fetched
      DeviceError             5   a device that is not there, or has too little memory
      OutputError             6   a result cannot be written
        OutputExistsError     6   a result is there already

The number is the exit code of the command line.
"""

from __future__ import annotations


class MoceError(Exception):
    """An error a person can act on.

    Args:
        message: one sentence, with the value seen and what is allowed.
        hint: what to try, naming the flag or the command.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MoceError):
    """The request does not make sense."""

    exit_code = 2


class InputError(MoceError):
    """A picture that cannot be taken."""

    exit_code = 3


class WeightsError(MoceError):
    """Weights that cannot be had or used."""

    exit_code = 4


class ConfigError(WeightsError):
    """An architecture, or a tensor given to it, that does not fit."""


class DownloadError(WeightsError):
    """Weights that could not be fetched."""


class DeviceError(MoceError):
    """A device that cannot be used."""

    exit_code = 5


class OutputError(MoceError):
    """A result that cannot be written."""

    exit_code = 6


class OutputExistsError(OutputError):
    """A result that is there already."""
