"""The options of `docker run`, checked and translated for an engine."""
