"""FFmpeg's command lines and reports: values in, argument lists out; text in, types out."""
