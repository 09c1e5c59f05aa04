"""DICOM networks, as both sides use them: associations, queries, the web."""
