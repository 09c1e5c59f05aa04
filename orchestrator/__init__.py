"""Decides; touches no pixels: ingest, plan, dispatch, record, reconcile, report."""
