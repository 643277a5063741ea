"""X-Decoder: generalized decoding for pixel, image and language (CVPR 2023)."""
