"""
Metrics and traces of dewy, for Prometheus and for OTLP collectors.

Nothing is pushed as it happens: each part counts by itself, and is asked when figures
are collected. Figures that are not requested therefore cost nothing.
"""
