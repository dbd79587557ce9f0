"""The parts of `benchmarks/gpu.py`: each is a file with a `run`, and has a process of its own."""
