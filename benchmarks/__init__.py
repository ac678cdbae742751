"""One script for each claim; each prints a table and writes JSON to benchmarks/out/."""
