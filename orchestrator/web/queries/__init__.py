"""What the pages read of the ledger. Every statement follows an index or reads tallies: a million items cost what ten cost."""
