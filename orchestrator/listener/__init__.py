"""What others send us: taken into custody, held until its study is complete, then a job by rule (docs/listen.md)."""
