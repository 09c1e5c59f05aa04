"""What orchestrator and workers both know: values, rules and doors. Opens nothing on import."""

__version__ = "0.1.0"
