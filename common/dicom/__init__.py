"""DICOM without a network: transfer syntaxes, SOP classes, UIDs, pixel streams, and the header around a video stream."""
