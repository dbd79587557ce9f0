"""`nas export`: a bundle copied to where it is needed, or as the files that a player loads."""

from __future__ import annotations

import argparse
from pathlib import Path

from nas.commands import fail
from nas.commands.arguments import Mistake, Parser
from nas.formats import FORMATS

_HELP = """\
Bring a winner to where it is needed: its folder copied whole, each file held against its hash, or
written anew for a player. A format holds the weights of fp32.onnx; int8 stays with the bundle.

BUNDLE is the folder of a winner (runs/<study>/winners/<id>), that of a run, for its best one, or
a network that came with the package (nas zoo).

formats:
{formats}

examples:
  nas export runs/x2-360x640-int8-50ms --to product/upscaler    # the folder that `runtime` loads
  nas export runs/x2-360x640-int8-50ms --any-size --to product/any
  nas export runs/x2-360x640-int8-50ms --format mpv --to shaders
  nas export x2-balanced --format mpv                           # a network of the zoo, here
  nas export runs/x2-360x640-int8-50ms --format vsmlrt --precision fp16 --to models
  nas export runs/x2-360x640-int8-50ms --format ncnn --to models

docs/formats.md tells how a player is given these files.
"""
_PRECISIONS = ("fp32", "fp16")


def main(arguments: list[str]) -> int:
    """Write the files and name them; return 0, or 2 for what the user can mend."""
    from nas.formats.base import Unwritable
    from nas.formats.export import Sizes, export, in_format
    from nas.play.base import Unplayable
    from nas.play.winner import bundle_of
    from nas.settings import SettingsError
    from runtime.manifest import BadBundle

    try:
        options = _parser().parse_args(arguments)
        bundle = bundle_of(options.bundle)
        if options.format is None:
            if options.to is None:
                raise Mistake("where to? Give --to FOLDER, or --format for a player's files")
            if options.precision is not None:
                raise Mistake("--precision needs --format: a copy has the precisions it has")
            sizes: Sizes = "any" if options.any_size else "timed"
            run = ", its files for any size" if options.any_size else ", whole"
            print(f"{export(bundle, options.to, sizes=sizes)}: a copy of {bundle}{run}")
            return 0
        if options.any_size:
            raise Mistake("--any-size is for a copy: a format's files run at any size as they are")
        source, paths = in_format(
            bundle, options.to or Path(), options.format, options.precision or "fp32"
        )
    except (Mistake, Unplayable, SettingsError, Unwritable, BadBundle) as error:
        return fail(str(error))
    for path in paths:
        print(f"{path}  {path.stat().st_size / 1000:,.1f} kB")
    if source.multiple > 1 and options.format != "mpv":
        print(f"height and width of a picture have to divide by {source.multiple}")
    return 0


def _parser() -> argparse.ArgumentParser:
    formats = "\n".join(f"  {name:8s}{what}" for name, what in FORMATS.items())
    parser = Parser(
        "nas export", description=_HELP.format(formats=formats),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", help="see above")
    add("--format", choices=list(FORMATS), help="see above; without it the folder is copied")
    add("--to", type=Path, metavar="FOLDER",
        help="where to; made where it is missing (default for a format: here)")
    add("--any-size", action="store_true",
        help="leave height and width open in the copy's files; their latency is that of the timed "
        "size")
    add("--precision", choices=_PRECISIONS,
        help="of a format's numbers (default fp32; mpv has that alone)")
    return parser
