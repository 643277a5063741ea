"""Reports: records into frames, tables and plots. Imports no torch."""
