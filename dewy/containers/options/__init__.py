"""The options of `docker run`, judged and turned into what an engine is asked for."""
