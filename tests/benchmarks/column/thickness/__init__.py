"""The part `thickness` of the benchmark `column`."""

from tests.benchmarks.column.thickness.bench import cases as cases
