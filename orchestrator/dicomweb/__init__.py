"""DICOMweb, the read side: results can be looked at before the archive has them."""
