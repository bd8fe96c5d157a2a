"""The building half: a torch model in, a verified bundle out. Needs the ``build`` extra."""

from millisight.build.pipeline import BuildOptions, build_bundle
from millisight.build.steps import console_steps

__all__ = ["BuildOptions", "build_bundle", "console_steps"]
