"""The truth: jobs, items, attempts and deliveries in SQL. Everything else can be lost and made again."""
