"""Speed against what people use today, measured in one run: `python -m benchmarks.NAME`."""
