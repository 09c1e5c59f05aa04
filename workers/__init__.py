"""Works; decides nothing: describe, decode, encode, measure, check, package, deliver."""
