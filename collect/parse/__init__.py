"""Read the plain text that wrk prints, wherever it was kept.

A text may hold many outputs inside prose, quoted, indented, coloured, with any line ends, cropped
or cut off. wrk scales its figures (`1.20m`, `9.44k`, `8.16MB`); here they come back in the units
that the names say, and what a text does not give is None.
"""

from collect.parse.outputs import WrkText, parse_outputs, parse_wrk
from collect.parse.source import MAX_BYTES, decode_text, read_source

__all__ = ["MAX_BYTES", "WrkText", "decode_text", "parse_outputs", "parse_wrk", "read_source"]
