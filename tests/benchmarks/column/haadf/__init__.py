"""The part `haadf` of the benchmark `column`."""

from tests.benchmarks.column.haadf.bench import cases as cases
