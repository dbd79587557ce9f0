"""Print the folder of the C++ sources, for `cmake -S "$(python -m runtime.cpp)"`."""

from runtime.cpp import FOLDER

print(FOLDER)
