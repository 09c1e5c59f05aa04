"""DICOM multi-frame images as one stream of frames that FFmpeg reads."""
