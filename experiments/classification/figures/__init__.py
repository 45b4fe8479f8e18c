"""The report's figures, one file each. Matplotlib is imported here and nowhere below."""
