"""The C++ reading of a bundle: sources that a product builds; `python -m runtime.cpp` tells where.

docs/cpp.md tells how to build and call them.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
"""Of `CMakeLists.txt` and the sources."""
