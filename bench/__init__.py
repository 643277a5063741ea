"""The benchmark and evaluation suite for open-vocabulary segmentation."""
