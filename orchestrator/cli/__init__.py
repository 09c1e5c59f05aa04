"""The command line: a thin edge over jobs, reports and the embedded farm. Answers go to stdout, all else to stderr."""
