"""
What dewy counts, for Prometheus and for OTLP collectors.

Nothing is told as it happens: whoever does the work counts by itself, and is
asked when somebody scrapes. So what is not asked for costs nothing.
"""
