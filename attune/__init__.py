"""The front door: command line, configuration and the subscriber client."""

from importlib.metadata import version

__version__ = version("attune")
