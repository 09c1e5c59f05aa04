"""Source against destination, study by study (docs/verify.md)."""
