"""What people and programs read when a job has ended: values, one HTML page, a CSV, JSON lines.

``model`` reads the ledger into the frozen ``values``; ``html``, ``csvfile`` and ``jsonlines`` write them; ``words`` has the
spelling of figures and codes for people.
"""
