"""Finds sources and the patient and study data that plain video lacks."""
