"""The HTTP API: jobs, items, destinations, workers and queues under /api/v1, for programs and for the command line."""
