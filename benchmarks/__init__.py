"""One module per question. `python -m benchmarks` prints a JSON line for each figure."""
